"""`nmf-scratch explain USER ITEM`: what a score is made of, and which of the user's ratings put it there."""

from __future__ import annotations

from typing import Annotated

import typer

from nmf_scratch._check import InputError
from nmf_scratch.cli._common import (
    ColumnsOption,
    JsonOption,
    RunsOption,
    new_table,
    note,
    print_json,
    run_alone,
    stdout,
)
from nmf_scratch.cli._ids import UserRatingsOption, check_who, typed_id, who
from nmf_scratch.cli._runs import RUNS, ModelOption, load_model


def explain(
    user: Annotated[str | None, typer.Argument(help="The user's id (leave it out with --user-ratings).")] = None,
    item: Annotated[str | None, typer.Argument(help="The item's id, as in the ratings file.")] = None,
    item_option: Annotated[str | None, typer.Option("--item", help="The item's id, with --user-ratings.")] = None,
    user_ratings: UserRatingsOption = None,
    columns: ColumnsOption = None,
    model: ModelOption = None,
    output: RunsOption = RUNS,
    as_json: JsonOption = False,
) -> None:
    """Explain a score: parts that add up to it, named by what they are about and by the ratings behind them."""
    wanted = item or item_option
    if user_ratings is not None and wanted is None:  # explain --user-ratings FILE ITEM
        user, wanted = None, user
    if wanted is None:
        raise InputError("name the item to explain: `nmf-scratch explain USER ITEM`")
    check_who(user, user_ratings)
    trained, path = load_model(model, output)
    asked = who(user, user_ratings, columns, trained)
    explained = trained.explain(asked, typed_id(wanted, trained.item_ids_))
    if as_json:
        parts, reasons = explained.parts.to_dict("records"), explained.reasons.to_dict("records")
        content = {"model": str(path), "user": user or str(user_ratings), "item": wanted, "title": explained.title}
        print_json({**content, "score": explained.score, "parts": parts, "reasons": reasons})
        return
    note(f"model: {path}")
    name = explained.title or wanted
    table = new_table(
        f"{name} for {f'user {user}' if user else f'the ratings in {user_ratings}'}: {explained.score:.2f}"
    )
    table.add_column("adds", justify="right")
    for column in ("part", "about", "because of"):
        table.add_column(column, overflow="fold")
    for value, *cells in explained.lines():
        table.add_row(f"{value:.2f}", *cells)
    stdout.print(table)


if __name__ == "__main__":
    run_alone(explain)
