"""`nmf-scratch factors`: what each factor of a trained model is about."""

from __future__ import annotations

from typing import Annotated

import typer

from nmf_scratch.cli._common import JsonOption, RunsOption, new_table, note, print_json, run_alone, stdout
from nmf_scratch.cli._runs import RUNS, ModelOption, load_trained

CAPTION = "share: of what all factors predict; items, users: share of rows with a tenth of the largest weight"


def factors(
    n: Annotated[int, typer.Option("-n", help="Titles for each factor.")] = 3,
    model: ModelOption = None,
    output: RunsOption = RUNS,
    as_json: JsonOption = False,
) -> None:
    """Show the factors of a trained model: share, sparsity, coverage, leading genres and titles."""
    trained, path, *_ = load_trained(model, output)
    summary = trained.factor_summary(n)
    if as_json:
        print_json({"model": str(path), "factors": summary.to_dict("records")})
        return
    note(f"model: {path}")
    numbers = ["share", "sparsity", "items", "users"]
    genres = ["genres"] if summary["genres"].any() else []
    table = new_table(f"{len(summary)} factors", caption=CAPTION)
    for column in ("#", *numbers, *genres, "titles"):
        table.add_column(column, justify="left" if column in ("genres", "titles") else "right", overflow="fold")
    for row in summary.to_dict("records"):
        shares = [f"{row[column]:.2f}" if column == "sparsity" else f"{row[column]:.0%}" for column in numbers]
        table.add_row(str(row["factor"]), *shares, *(row[column] for column in genres), "; ".join(row["titles"]))
    stdout.print(table)


if __name__ == "__main__":
    run_alone(factors)
