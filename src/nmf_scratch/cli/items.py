"""`nmf-scratch items WORDS`: look items up by the words of their titles, as the other commands do."""

from __future__ import annotations

from typing import Annotated

import typer

from nmf_scratch._check import InputError
from nmf_scratch.cli._common import JsonOption, RunsOption, new_table, note, print_json, run_alone, stdout
from nmf_scratch.cli._runs import RUNS, ModelOption, load_trained


def items(
    words: Annotated[list[str], typer.Argument(help="Words of a title, or their beginnings, in any order.")],
    n: Annotated[int, typer.Option("-n", help="At most so many.")] = 20,
    model: ModelOption = None,
    output: RunsOption = RUNS,
    as_json: JsonOption = False,
) -> None:
    """Look items up by the words of their titles: ids, titles, genres, and how many ratings there are, most first."""
    from nmf_scratch.fitted.titles import find_items, suggestions

    trained, path, *_ = load_trained(model, output)
    fitted, text = trained.fitted_, " ".join(words)
    if fitted.items is None:
        raise InputError(f"{path} knows no titles: train with --items TABLE, or on a data set that has them")
    codes = find_items(fitted, text)
    if not len(codes):
        near = suggestions(fitted, text)
        raise InputError(f"no title holds {text!r}" + (f": did you mean {near}?" if near else ""))
    table = fitted.items.iloc[codes[:n]].assign(n_ratings=fitted.ratings.item_counts[codes[:n]])
    table.insert(0, "item", fitted.item_ids[codes[:n]])
    if as_json:
        print_json({"model": str(path), "words": text, "found": len(codes), "items": table.to_dict("records")})
        return
    note(f"model: {path}")
    pretty = new_table(f"{len(codes):,} found", caption=f"the first {n} of them" if len(codes) > n else None)
    shown = [column for column in ("item", "title", "genres") if column in table]
    for column in shown:
        pretty.add_column(column, overflow="fold")
    pretty.add_column("ratings", justify="right")
    for row in table.to_dict("records"):
        pretty.add_row(*(str(row[column]).replace("|", ", ") for column in shown), f"{row['n_ratings']:,}")
    stdout.print(pretty)


if __name__ == "__main__":
    run_alone(items)
