"""`nmf-scratch tune`: search for good hyper-parameters, and print the command that trains the winner.

The first of `--folds` takes no part in the search. The winner is scored on it, once, beside the default model and the
bias model; `nmf-scratch train` with the printed command reports the same error for its first fold. The output folder
holds

    trials.json   every finished trial; the same command goes on where an interrupted one ended
    tuning.csv    the table of all trials
    tuning.png    their errors against each parameter
"""

from __future__ import annotations

import math
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from nmf_scratch._archive import write_file
from nmf_scratch._check import InputError, check_number
from nmf_scratch.cli._common import (
    INTERRUPTED,
    SOURCE,
    WEIGHTING,
    ColumnsOption,
    DataDirOption,
    DatasetOption,
    DecimalOption,
    DuplicatesOption,
    EncodingOption,
    FoldsOption,
    ItemsOption,
    JsonOption,
    SeedOption,
    SeparatorOption,
    SkipBadOption,
    as_weighting,
    describe_line,
    make_splitter,
    new_table,
    note,
    print_json,
    read_asked,
    run_alone,
    stdout,
)
from nmf_scratch.cli._runs import make_folder
from nmf_scratch.cli._scores import solver_name
from nmf_scratch.evaluation import BIAS_MODEL

if TYPE_CHECKING:
    import pandas as pd

    from nmf_scratch.data.dataset import Dataset
    from nmf_scratch.evaluation.tuning import Search

SHOWN = 10
"""Trials in the printed table."""


def tune(
    dataset: DatasetOption = None,
    solver: Annotated[
        str | None,
        typer.Option("--solver", "-s", help="Solvers to try, as in sgd,als.", show_default="adagrad,adam,ccd,als,mu"),
    ] = None,
    n_components: Annotated[
        str | None,
        typer.Option("--n-components", "-k", help="Ranks: 10,20,40 or a range 5:80.", show_default="20,40,80,120"),
    ] = None,
    alpha: Annotated[
        str | None, typer.Option(help="Penalties: 0.01,0.03 or a range 0.05:0.5.", show_default="0.05:0.5")
    ] = None,
    alpha_bias: Annotated[
        str | None, typer.Option(help="Penalties on the biases, likewise.", show_default="each solver's own")
    ] = None,
    weighting: Annotated[
        str | None, typer.Option(help="Growths of the penalty: count,plain,0.5.", show_default=WEIGHTING)
    ] = None,
    l1_ratio: Annotated[str | None, typer.Option(help="Shares of lasso: 0,0.5.", show_default="0")] = None,
    loss: Annotated[str | None, typer.Option(help="Values of β, as in 2,1.", show_default="2,1")] = None,
    candidates: Annotated[int, typer.Option(help="How many random candidates.")] = 27,
    grid: Annotated[bool, typer.Option("--grid", help="Try all combinations instead; every option a list.")] = False,
    folds: FoldsOption = "5",
    inner_folds: Annotated[int, typer.Option(help="Folds that candidates are evaluated on.")] = 3,
    seed: SeedOption = 0,
    columns: ColumnsOption = None,
    separator: SeparatorOption = None,
    encoding: EncodingOption = "utf-8",
    decimal: DecimalOption = ".",
    items: ItemsOption = None,
    duplicates: DuplicatesOption = None,
    skip_bad: SkipBadOption = False,
    data_dir: DataDirOption = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of the search.")] = Path("runs/tune"),
    fresh: Annotated[bool, typer.Option("--fresh", help="Start over instead of going on.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Search over solver, rank, penalties and loss; print the command that trains the winner."""
    source = {name: value for name, value in locals().items() if name in SOURCE}
    typed = {"solver": solver, "n_components": n_components, "alpha": alpha, "alpha_bias": alpha_bias}
    typed |= {"weighting": weighting, "l1_ratio": l1_ratio, "loss": loss}
    space = make_space(typed, ranges=not grid)
    for option, number, minimum in (("--candidates", candidates, 1), ("--inner-folds", inner_folds, 2)):
        check_number(option, number, minimum=minimum, integer=True)
    check_number("--seed", seed, minimum=0, integer=True)
    make_folder(output)
    results = output / "trials.json"
    if fresh:
        results.unlink(missing_ok=True)
    data = read_asked({"dataset": dataset, **source})
    note(describe_line(data))
    outer = next(make_splitter(folds, data, seed).split(data.ratings))
    settings = {"space": space, "n_candidates": None if grid else candidates, "cv": inner_folds}
    search = _search(data, outer[0], seed, {**settings, "results": results})
    errors = {} if search.interrupted else _evaluate(search, data, outer)
    options = {"dataset": dataset or data.name, "folds": folds, "seed": seed, **source}
    command = make_command(search.best, options)
    bar = _bias_model(data, outer[0], inner_folds, seed)
    _write(output, search, bar, f"Search on {data.name}, {len(search.table)} trials")
    if as_json:
        trials = search.table.to_dict("records")
        found = {"best": search.best, "validation_rmse": search.best_rmse, "test_rmse": errors}
        print_json(
            {"dataset": data.name, "interrupted": search.interrupted, "command": command, **found, "trials": trials}
        )
    else:
        stdout.print(_pretty(search.table, f"{data.name}, best of {len(search.table)} trials"))
        _explain(search, errors, output)
        stdout.print(command, soft_wrap=True)
    if search.interrupted:
        raise typer.Exit(INTERRUPTED)


# --- what was typed -------------------------------------------------------------------------------------------------


def make_space(typed: dict[str, str | None], *, ranges: bool = True) -> dict[str, Any]:
    """Turn options such as 10,20 (choices) and 0.01:0.1 (a range) into a space; what is not typed has its default."""
    from nmf_scratch.evaluation.tuning import SPACE

    space: dict[str, Any] = {}
    for name, text in typed.items():
        if text is not None:
            space[name] = _values(name, text)
        elif name in SPACE:
            space[name] = SPACE[name]
        if not ranges and isinstance(space.get(name), tuple):
            raise InputError(f"--grid needs a list for {_flag(name)}, as in {_flag(name)} 0.01,0.03")
    return space


def _values(name: str, text: str) -> Any:
    readers: dict[str, Callable[[str], Any]] = {"solver": str, "n_components": int, "weighting": as_weighting}
    read = readers.get(name, float)
    parts = [part.strip() for part in text.split("," if name == "solver" or ":" not in text else ":")]
    try:
        values = [read(part) for part in parts]
    except ValueError:
        values = []
    if not all(parts) or not values or (":" in text and len(values) != 2):
        example = {"solver": "sgd,als", "n_components": "10,20 or 5:80"}.get(name, "0.01,0.03 or 0.005:0.1")
        raise InputError(f"{_flag(name)} must read like {example}, got {text!r}")
    return tuple(values) if ":" in text and name != "solver" else values


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")


def make_command(best: dict[str, Any], options: dict[str, Any]) -> str:
    """Word the command that trains the winner on the same folds of the same data."""
    defaults = {"loss": 2.0, "encoding": "utf-8", "decimal": "."}
    given = {name: value for name, value in {**best, **options}.items() if value not in (None, "auto")}
    flags = [
        [_flag(name)] if value is True else [_flag(name), str(value)]
        for name, value in given.items()
        if value is not False and value != defaults.get(name)
    ]
    return shlex.join(["nmf-scratch", "train", *(part for flag in flags for part in flag)])


# --- the search, and what it found ----------------------------------------------------------------------------------


def _search(data: Dataset, train: Any, seed: int, settings: dict[str, Any]) -> Search:
    from nmf_scratch._progress import EpochProgress
    from nmf_scratch.evaluation.tuning import Step
    from nmf_scratch.evaluation.tuning import tune as search
    from nmf_scratch.model import NMF

    bars: list[EpochProgress] = []

    def on_step(step: Step) -> None:
        if not bars:  # the first step knows how many fits there will be
            bars.append(EpochProgress(step.total, "searching").__enter__())
        best = "" if math.isnan(step.best) else f"best RMSE {step.best:.4f}"
        bars[0].reach(step.done, f"rung {step.rung} of {step.n_rungs}", best)

    try:
        return search(NMF(random_state=seed), data.ratings.iloc[train], random_state=seed, on_step=on_step, **settings)
    finally:
        for bar in bars:
            bar.__exit__(None, None, None)


def _evaluate(search: Search, data: Dataset, outer: Any) -> dict[str, float]:
    """RMSE on the ratings that took no part: the winner, the default model, the bias model."""
    from nmf_scratch.evaluation.baselines import BiasModel
    from nmf_scratch.evaluation.cross_validation import cross_validate
    from nmf_scratch.model import NMF

    default = NMF(random_state=search.model.random_state)
    models = {"winner": search.model, f"default ({solver_name(default)})": default, BIAS_MODEL: BiasModel()}
    return {name: float(cross_validate(model, data, cv=[outer])["rmse"].iloc[0]) for name, model in models.items()}


def _bias_model(data: Dataset, train: Any, inner_folds: int, seed: int) -> float:
    """RMSE of the bias model on the folds that the candidates were evaluated on."""
    from nmf_scratch.evaluation.baselines import BiasModel
    from nmf_scratch.evaluation.cross_validation import cross_validate
    from nmf_scratch.evaluation.splits import KFold

    folds = KFold(inner_folds, shuffle=True, random_state=seed)
    return float(cross_validate(BiasModel(), data.ratings.iloc[train], cv=folds)["rmse"].mean())


def _write(folder: Path, search: Search, bar: float, title: str) -> None:
    from nmf_scratch.plots.style import save_figure
    from nmf_scratch.plots.tuning import plot_tuning

    write_file(folder / "tuning.csv", search.table.to_csv(index=False))
    save_figure(plot_tuning(search.table, title=title, bar=bar), folder / "tuning.png")


def _explain(search: Search, errors: dict[str, float], folder: Path) -> None:
    if errors:
        shown = ", ".join(f"{name} {error:.4f}" for name, error in errors.items())
        note(f"RMSE on fold 1, which took no part: {shown}")
        note("The other folds of `train` hold ratings that took part, so expect its mean to be a little too good.")
    else:
        note("interrupted: this is the best so far; the same command goes on")
    note(f"every trial is in {folder / 'tuning.csv'}, drawn in {folder / 'tuning.png'}\nto train the winner:")


def _pretty(table: pd.DataFrame, title: str) -> Table:
    best = table.sort_values(["rmse", "rung", "candidate"]).head(SHOWN)
    parameters = [name for name in best if name not in ("candidate", "rung", "rmse", "standard_error", "seconds")]
    pretty = new_table(title, caption="RMSE on the inner folds ± standard error; s: seconds of fitting")
    for name in ("rung", *parameters, "RMSE", "s"):
        pretty.add_column(str(name).replace("_", " "), justify="left" if name == "solver" else "right")
    for row in best.to_dict("records"):
        cells = [f"{row[name]:g}" if isinstance(row[name], float) else str(row[name]) for name in parameters]
        error = f"{row['rmse']:.4f} ± {row['standard_error']:.4f}"
        pretty.add_row(str(row["rung"]), *cells, error, f"{row['seconds']:.1f}")
    return pretty


if __name__ == "__main__":
    run_alone(tune)
