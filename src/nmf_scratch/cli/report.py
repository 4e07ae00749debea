"""`nmf-scratch report`: one HTML page about a run, to read, to print and to pass on."""

from __future__ import annotations

import shlex
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nmf_scratch._check import InputError
from nmf_scratch.cli._common import (
    DataDirOption,
    JsonOption,
    make_splitter,
    note,
    print_json,
    read_asked,
    run_alone,
    source_of,
)
from nmf_scratch.cli._runs import MODEL, RANKING, RUNS, ModelOption, load_model
from nmf_scratch.cli.train import data_hash

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from nmf_scratch.data.dataset import Dataset
    from nmf_scratch.evaluation.diagnosis import HeldOut
    from nmf_scratch.history import EpochRecord
    from nmf_scratch.model import NMF
    from nmf_scratch.report.material import Comparison, Material

    Fold = tuple[NDArray[np.intp], NDArray[np.intp]]

FOLDS = "5"
"""Where no run folder says in how many folds the model was evaluated."""

BRIEF_EPOCHS, BRIEF_UP_TO = 20, 1_000_000
"""Epochs of a comparison made for the report, and the ratings beyond which it would take too long."""


def report(
    model: ModelOption = None,
    dataset: Annotated[
        str | None,
        typer.Option("--dataset", "-d", help="What the model was trained on.", show_default="as the run says"),
    ] = None,
    data_dir: DataDirOption = None,
    comparison: Annotated[
        Path,
        typer.Option(help="Folder of `nmf-scratch compare`, used if it ran on the same ratings; else a brief one."),
    ] = RUNS / "compare",
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The page.", show_default="report.html beside the model")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Write one self-contained HTML page about a trained model: data, training, quality, factors, recommendations."""
    from nmf_scratch._archive import write_file
    from nmf_scratch.report.material import RUN, read_json

    nmf, path = load_model(model, RUNS)
    page = output or path.parent / "report.html"
    _check_target(page)
    run = read_json(path.parent / RUN)
    data = _find_data(nmf, run, dataset, data_dir)
    material = replace(_gather(nmf, path.parent, run, data, comparison), lists=_lists_beside(path))
    given = {"--model": path, "--dataset": dataset, "--data-dir": data_dir, "--output": output}
    words = [word for name, value in given.items() if value is not None for word in (name, str(value))]
    text = _draw(replace(material, command=f"nmf-scratch report {shlex.join(words)}"))
    write_file(page, text)
    size = page.stat().st_size
    if as_json:
        print_json({"report": str(page), "model": str(path), "bytes": size})
    else:
        note(f"saved to {page} ({size / 1e6:.1f} MB): open it in a browser")


def _lists_beside(path: Path) -> NMF | None:
    """Return the model for lists of the same run."""
    from nmf_scratch.model import NMF

    beside = path.with_name(RANKING)
    return NMF.load(beside) if path.name == MODEL and beside.is_file() else None


def _check_target(page: Path) -> None:
    """Refuse a place that cannot be written before the work."""
    if page.is_dir():
        raise InputError(f"--output {str(page)!r} is a folder: name a file, such as {str(page / 'report.html')!r}")
    if not page.parent.is_dir():
        raise InputError(f"cannot write to --output {str(page)!r}: there is no folder {str(page.parent)!r}")


def _find_data(model: NMF, run: dict[str, Any], name: str | None, data_dir: Path | None) -> Dataset:
    """Return the data that the model was trained on: as named, as the run says, or as the model remembers it."""
    from nmf_scratch.report.material import data_of, is_of

    if name is not None:
        data = read_asked({"dataset": name, "data_dir": data_dir})
        if not is_of(model, data):
            raise InputError(f"--dataset {name!r} is not what the model was trained on: its ratings differ")
        return data
    found = _data_of_run(run.get("options", {}), data_dir)
    if found is not None and is_of(model, found):
        return found
    why = "its run folder names no data at hand" if found is None else "the data has changed since it was trained"
    note(f"The report goes by the ratings in the model file, without users and times: {why}")
    return data_of(model)


def _data_of_run(options: dict[str, Any], data_dir: Path | None) -> Dataset | None:
    """Read the data that a run names, if it is still there; nothing is fetched."""
    from nmf_scratch.readers.load import load_dataset

    try:
        given = source_of({**options, "data_dir": data_dir or options.get("data_dir")})
        return load_dataset(options["dataset"], **given, download=False, report=lambda text: None)
    except (KeyError, InputError, OSError):
        return None


def _gather(model: NMF, folder: Path, run: dict[str, Any], data: Dataset, comparison: Path) -> Material:
    """Bring together what the report is made of; what the run folder lacks is fitted now."""
    from nmf_scratch.report.material import SCORES, VALIDATION, Material, read_comparison, read_history, read_json

    if not model.predicts_ratings_:
        return Material(model, data, run, read_json(folder / SCORES))
    options = run.get("options", {})
    splitter = make_splitter(options.get("folds", FOLDS), data, options.get("seed", 0))
    fold = next(iter(splitter.split(data.ratings)))
    found = read_comparison(comparison, run.get("dataset", {}).get("sha256") or data_hash(data))
    return Material(
        model,
        data,
        run,
        read_json(folder / SCORES),
        validation=read_history(folder / VALIDATION),
        held_out=_hold_out(model, data, fold),
        comparison=_compare(data, fold) if found is None and len(data.ratings) <= BRIEF_UP_TO else found,
    )


def _hold_out(model: NMF, data: Dataset, fold: Fold) -> HeldOut:
    """Fit once more, to the training part of the first fold, with a progress bar."""
    from nmf_scratch._progress import EpochProgress
    from nmf_scratch.report.material import held_out

    with EpochProgress(model.epochs(), "a fit with ratings held out") as bar:
        held = held_out(model.clone(callbacks=(bar,)), data, *fold)
    if held.model.stop_reason_ == "interrupted":
        raise KeyboardInterrupt
    return held


def _compare(data: Dataset, fold: Fold) -> Comparison:
    """Compare solvers briefly, with a progress bar."""
    from nmf_scratch._progress import EpochProgress
    from nmf_scratch.evaluation.comparison import LONGER
    from nmf_scratch.report.material import compare_briefly
    from nmf_scratch.solvers import SOLVERS

    with EpochProgress(len(SOLVERS) * BRIEF_EPOCHS + LONGER, "comparing solvers briefly") as bar:

        def on_epoch(name: str, fold: int, record: EpochRecord) -> None:
            bar.tell(record, f"comparing solvers briefly: {name}")

        return compare_briefly(data, *fold, max_iter=BRIEF_EPOCHS, on_epoch=on_epoch)


def _draw(material: Material) -> str:
    """Make the page, with a progress bar over its sections."""
    from nmf_scratch._progress import EpochProgress
    from nmf_scratch.report import SECTIONS, make_page

    names = list(SECTIONS)
    with EpochProgress(len(names), "writing the report") as bar:
        return make_page(material, told=lambda name: bar.reach(names.index(name), f"writing the report: {name}", ""))


if __name__ == "__main__":
    run_alone(report)
