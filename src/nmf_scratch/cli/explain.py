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
from nmf_scratch.cli._ids import UserRatingsOption, check_who, folded_from, known_item, known_user, with_stars
from nmf_scratch.cli._runs import RUNS, ModelOption, load_trained


def explain(
    user: Annotated[str | None, typer.Argument(help="The user's id (leave it out with --user-ratings).")] = None,
    item: Annotated[str | None, typer.Argument(help="The item's id, as in the ratings file, or its title.")] = None,
    item_option: Annotated[str | None, typer.Option("--item", help="The same, with --user-ratings.")] = None,
    user_ratings: UserRatingsOption = None,
    columns: ColumnsOption = None,
    model: ModelOption = None,
    output: RunsOption = RUNS,
    as_json: JsonOption = False,
) -> None:
    """Explain a score: parts that add up to it, named by what they are about and by the ratings behind them."""
    import pandas as pd

    wanted = item or item_option
    if user_ratings is not None and wanted is None:  # explain --user-ratings FILE ITEM
        user, wanted = None, user
    if wanted is None:
        raise InputError("name the item to explain: `nmf-scratch explain USER ITEM`")
    check_who(user, user_ratings)
    trained = load_trained(model, output)
    code = known_item(wanted, trained.lists)
    if user_ratings is None:
        asked = known_user(str(user), trained.lists)
    else:
        asked = folded_from(user_ratings, columns, trained.lists)
    explained = trained.lists.explain(asked, code)
    stars = with_stars(pd.DataFrame({"item": [code]}), asked, trained)
    if as_json:
        parts, reasons = explained.parts.to_dict("records"), explained.reasons.to_dict("records")
        content = {**trained.files, "user": user or str(user_ratings), "item": code, "title": explained.title}
        expected = stars["stars"].iloc[0] if "stars" in stars else None
        print_json({**content, "score": explained.score, "stars": expected, "parts": parts, "reasons": reasons})
        return
    note(trained.named)
    name, whom = explained.title or wanted, f"user {user}" if user else f"the ratings in {user_ratings}"
    beside = f", stars {stars['stars'].iloc[0]:.2f}" if "stars" in stars else ""
    table = new_table(f"{name} for {whom}: score {explained.score:.2f}{beside}")
    table.add_column("adds", justify="right")
    for column in ("part", "about", "because of"):
        table.add_column(column, overflow="fold")
    for value, *cells in explained.lines():
        table.add_row(f"{value:.2f}", *cells)
    stdout.print(table)


if __name__ == "__main__":
    run_alone(explain)
