"""A run folder: made under another name until it is complete, the newest of them, and the models in it."""

from __future__ import annotations

import itertools
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from nmf_scratch._archive import draft, sweep
from nmf_scratch._check import InputError
from nmf_scratch.cli._common import tell_when_compiling

if TYPE_CHECKING:
    from nmf_scratch.model import NMF

RUNS = Path("runs")

LATEST = "latest"
"""Leads to the newest run."""

MODEL, RANKING = "model.safetensors", "ranking.safetensors"
"""Files of a run: the model that predicts ratings, and the one that sorts; with --implicit, only the latter."""

USERS = "users.csv"
"""What a run knows of its users (age, occupation, …), where the data says anything."""

ModelOption = Annotated[Path | None, typer.Option(help="Model file.", show_default="the latest run's")]


class Trained(NamedTuple):
    """The models that answer: what sorts lists, where it was read, and what predicts ratings beside it."""

    lists: NMF
    path: Path
    ratings: NMF | None
    ratings_path: Path | None

    @property
    def files(self) -> dict[str, str | None]:
        """Return the files as `--json` prints them."""
        return {"model": str(self.path), "ratings_model": str(self.ratings_path) if self.ratings_path else None}

    @property
    def beside(self) -> NMF | None:
        """Return the model of ratings if it is another than that of lists."""
        return None if self.ratings is self.lists else self.ratings

    @property
    def named(self) -> str:
        """Say which files answer."""
        if self.ratings_path in (None, self.path):
            return f"model: {self.path}"
        return f"order: {self.path}, stars: {self.ratings_path}"


def load_trained(model: Path | None, runs: Path) -> Trained:
    """Load the named model alone, or both models of the newest run."""
    from nmf_scratch.model import NMF

    lists, path = load_model(model or _prefer(latest_run(runs), RANKING, MODEL), runs)
    beside = path.parent / MODEL
    if lists.predicts_ratings_:
        return Trained(lists, path, lists, path)
    if model is not None or not beside.is_file():
        return Trained(lists, path, None, None)
    return Trained(lists, path, NMF.load(beside), beside)


def load_model(model: Path | None, runs: Path) -> tuple[NMF, Path]:
    """Load the named model, or that of the newest run, the one that predicts ratings if there are two."""
    from nmf_scratch.model import NMF

    tell_when_compiling()
    path = model or latest_model(runs)
    return NMF.load(path), path


def latest_model(runs: Path) -> Path:
    """Return the model file of the newest run, the one that predicts ratings if there are two."""
    return _prefer(latest_run(runs), MODEL, RANKING)


def _prefer(folder: Path, first: str, second: str) -> Path:
    return folder / (first if (folder / first).is_file() else second)


def latest_run(runs: Path) -> Path:
    """Return the folder of the newest run."""
    latest = runs / LATEST
    if latest.is_file():  # a folder that cannot hold links
        latest = runs / latest.read_text(encoding="utf-8").strip()
    if not latest.is_dir():
        raise InputError(
            f"there is no trained model under {str(runs)!r}: run `nmf-scratch train` first, or pass --model"
        )
    return runs / latest.resolve().name


def find_model(run: str | None) -> Path:
    """Return the model file of a run, however it is named; of the latest run for None."""
    if run is None:
        return latest_model(RUNS)
    places = [Path(run), *(folder / name for name in (MODEL, RANKING) for folder in (Path(run), RUNS / run))]
    found = next((place for place in places if place.is_file()), None)
    if found is None:
        raise InputError(f"--run {run!r} is neither a run folder, nor a run under {str(RUNS)!r}, nor a model file")
    return found


def make_folder(folder: Path) -> None:
    """Make the folder for what a command writes, or say why it cannot be made."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot write to --output {str(folder)!r}: {error.strerror}") from None


@contextmanager
def new_run(runs: Path, label: str, *, name: str | None = None, latest: bool = True) -> Iterator[tuple[Path, Path]]:
    """Reserve a run folder before the work, and keep it only if the work succeeds.

    Parameters
    ----------
    runs : Path
        Folder of all runs; made if need be.
    label : str
        What the name of the run begins with; the time follows.
    name : str, optional
        The name, instead.
    latest : bool
        Whether commands that name no run mean this one from now on.

    Yields
    ------
    partial, final : Path
        Where to write within the block, and what that is called after it.
    """
    if name is not None and ((runs / name).exists() or Path(name).name != name or name in (LATEST, "..")):
        raise InputError(f"--name {name!r} must be a new folder's name under {str(runs)!r}, without slashes")
    plain = re.sub(r"[^\w.]+", "-", label)
    partial, final = _reserve(runs, name or f"{plain}-{time.strftime('%Y%m%d-%H%M%S')}")
    try:
        yield partial, final
        partial.rename(final)
    except BaseException:
        shutil.rmtree(partial)
        raise
    if latest:
        _point_latest(runs, final.name)


def _reserve(runs: Path, name: str) -> tuple[Path, Path]:
    """Make a temporary folder for a name that no finished or running run has."""
    names = itertools.chain([name], (f"{name}-{number}" for number in itertools.count(2)))
    try:
        runs.mkdir(parents=True, exist_ok=True)
        sweep(runs)
        final = next(runs / name for name in names if not any((*runs.glob(name), *runs.glob(f".{name}.*.partial"))))
        partial = draft(final)
        partial.mkdir()
    except OSError as error:
        raise InputError(f"cannot write to --output {str(runs)!r} ({error.strerror}); name another folder") from error
    return partial, final


def _point_latest(runs: Path, name: str) -> None:
    """Make runs/latest a link to the new run in one step (a folder that cannot hold links gets its name as text)."""
    temporary = draft(runs / LATEST)
    try:
        temporary.symlink_to(name, target_is_directory=True)
    except OSError:
        temporary.write_text(name + "\n", encoding="utf-8")
    temporary.replace(runs / LATEST)
