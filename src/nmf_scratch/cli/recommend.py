"""`nmf-scratch recommend USER`: the best items that the user has not rated."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from nmf_scratch._check import InputError
from nmf_scratch.cli._common import JsonOption, RunsOption, new_table, note, print_json, run_alone, stdout
from nmf_scratch.cli.train import LATEST, RUNS

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from nmf_scratch.model import NMF


AVERAGE = "by number of ratings; scores are an average user's"


def recommend(
    user: Annotated[str, typer.Argument(help="The user's id, as in the ratings file.")],
    n: Annotated[int, typer.Option("-n", help="How many items.")] = 10,
    model: Annotated[Path | None, typer.Option(help="Model file.", show_default="the latest run's")] = None,
    include_seen: Annotated[bool, typer.Option("--include-seen", help="Also list what the user has rated.")] = False,
    output: RunsOption = RUNS,
    as_json: JsonOption = False,
) -> None:
    """Recommend items to a user of a trained model; a stranger gets what most people rated."""
    from nmf_scratch.model import NMF

    path = model or latest_model(output)
    trained = NMF.load(path)
    user_id = typed_id(user, trained.user_ids_)
    known = bool(trained.user_codes([user_id])[0] >= 0)
    table = trained.recommend(user_id, n=n, exclude_seen=not include_seen)
    if as_json:
        print_json({"model": str(path), "user": user, "known": known, "recommendations": table.to_dict("records")})
        return
    note(f"model: {path}" if known else f"model: {path}\n{_about_stranger(user, trained)}")
    stdout.print(_pretty(table, f"For user {user}") if known else _pretty(table, "Most rated", caption=AVERAGE))


def latest_model(runs: Path) -> Path:
    """Return the model file of the newest run."""
    latest = runs / LATEST
    if latest.is_file():  # a folder that cannot hold links
        latest = runs / latest.read_text(encoding="utf-8").strip()
    if not latest.is_dir():
        raise InputError(
            f"there is no trained model under {str(runs)!r}: run `nmf-scratch train` first, or pass --model"
        )
    return runs / latest.resolve().name / "model.npz"


def typed_id(text: str, known_ids: np.ndarray) -> Any:
    """Turn what was typed into the dtype of the model's ids; text that is no such id stays text (and is unknown)."""
    if known_ids.dtype.kind not in "iuf":
        return text
    try:
        return known_ids.dtype.type(text)
    except (ValueError, OverflowError):
        return text


def _about_stranger(user: str, model: NMF) -> str:
    ids = model.user_ids_
    return (
        f"User {user} is not in the training data, so there are no tastes to go by: these are the most rated items.\n"
        f"The model knows {len(ids):,} users, from {ids[0]} to {ids[-1]}."
    )


def _pretty(table: pd.DataFrame, title: str, caption: str | None = None) -> Table:
    pretty = new_table(title, caption=caption)
    pretty.add_column("#", justify="right")
    pretty.add_column("score", justify="right")
    columns = ["item", *(["title"] if "title" in table else [])]
    for column in columns:
        pretty.add_column(column, overflow="fold")
    for place, row in enumerate(table.to_dict("records"), start=1):
        pretty.add_row(str(place), f"{row['score']:.2f}", *(str(row[column]) for column in columns))
    return pretty


if __name__ == "__main__":
    run_alone(recommend)
