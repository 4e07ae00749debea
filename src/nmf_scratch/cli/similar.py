"""`nmf-scratch similar --item ITEM` or `--user USER`: what, or who, is most like it by the latent factors."""

from __future__ import annotations

from typing import Annotated

import typer

from nmf_scratch._check import InputError
from nmf_scratch.cli._common import JsonOption, RunsOption, note, print_json, run_alone, stdout
from nmf_scratch.cli._ids import known_item, known_user, list_table
from nmf_scratch.cli._runs import RUNS, ModelOption, load_trained


def similar(
    item: Annotated[str | None, typer.Option(help="An item's id, or its title.")] = None,
    user: Annotated[str | None, typer.Option(help="A user's id.")] = None,
    n: Annotated[int, typer.Option("-n", help="How many.")] = 10,
    model: ModelOption = None,
    output: RunsOption = RUNS,
    as_json: JsonOption = False,
) -> None:
    """List the items most like an item, or the users most like a user (cosines of factors, in both models of a run)."""
    if (item is None) == (user is None):
        raise InputError("pass --item or --user, one of the two")
    trained = load_trained(model, output)
    lists, beside = trained.lists, trained.beside
    if item is not None:
        code = known_item(item, lists)
        table, title = lists.similar_items(code, n, beside=beside), f"Like item {code}"
    else:
        table, title = lists.similar_users(known_user(str(user), lists), n, beside=beside), f"Like user {user}"
    if as_json:
        print_json({**trained.files, "item": item, "user": user, "similar": table.to_dict("records")})
        return
    note(trained.named)
    stdout.print(list_table(table, title, "similarity"))


if __name__ == "__main__":
    run_alone(similar)
