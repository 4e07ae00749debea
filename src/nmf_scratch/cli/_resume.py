"""--checkpoint and --resume of `nmf-scratch train`: the refit, and the scores before it, in a file of their own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nmf_scratch._check import InputError
from nmf_scratch.cli._common import note

if TYPE_CHECKING:
    import pandas as pd

    from nmf_scratch.checkpoint import Checkpoint

CheckpointOption = Annotated[
    Path | None,
    typer.Option(
        help="Keep the refit on all ratings, and the scores before it, in this file while it lasts; it is removed when "
        "the run is saved."
    ),
]
ResumeOption = Annotated[
    bool,
    typer.Option(
        "--resume", help="Go on from --checkpoint if the file exists, with the same data and options: to the same bits."
    ),
]


def keep_refit(path: Path | None, resume: bool, given: dict[str, Any]) -> Checkpoint | None:
    """Return where the refit is kept; refuse a file of another run.

    Parameters
    ----------
    path : Path, optional
        None keeps nothing.
    resume : bool
        Whether to go on from the file, if there is one.
    given : dict
        What the scores of a run depend on, under names for people.
    """
    from nmf_scratch.checkpoint import Checkpoint

    if path is None:
        if resume:
            raise InputError("--resume needs --checkpoint FILE, the file to go on from")
        return None
    checkpoint = Checkpoint(path, resume, note=given)
    if checkpoint.saved is not None:
        before = checkpoint.saved.header["note"]
        if other := [name for name, value in given.items() if before.get(name) != value]:
            told = f"{other[0]} {before.get(other[0])}, not {given[other[0]]}"
            what = "other ratings" if other[0] == "ratings" else told
            raise InputError(f"cannot resume from {str(path)!r}: its run had {what}; delete it to start anew")
        note(f"resuming the refit after epoch {checkpoint.saved.epoch}; the scores are those of {path}")
    return checkpoint


def kept_scores(checkpoint: Checkpoint | None) -> dict[str, pd.DataFrame] | None:
    """Return the scores that were found before the interruption, if there was one."""
    import pandas as pd

    if checkpoint is None or checkpoint.saved is None:
        return None
    return {name: pd.DataFrame(table) for name, table in checkpoint.saved.header["note"]["scores"].items()}


def with_scores(checkpoint: Checkpoint | None, scores: dict[str, pd.DataFrame]) -> Checkpoint | None:
    """Return the same checkpoint, to keep the scores too."""
    by_fold = {name: table.to_dict("list") for name, table in scores.items()}
    return checkpoint and replace(checkpoint, note={**checkpoint.note, "scores": by_fold})


@contextmanager
def what_is_kept(path: Path | None) -> Iterator[None]:
    """Say at Ctrl-C how to go on."""
    try:
        yield
    except KeyboardInterrupt:
        if path is not None and path.exists():
            note(f"kept in {path}: the same command with --resume goes on from there")
        raise
