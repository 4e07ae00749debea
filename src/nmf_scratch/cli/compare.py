"""`nmf-scratch compare`: every solver on one problem, from one start, on the same folds.

With --ranking, the problem is that of lists: the solvers that can let unrated cells count, beside popularity, item-kNN
and EASE, by what lists are scored by.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from nmf_scratch._archive import write_file
from nmf_scratch._check import check_choice, check_number
from nmf_scratch.cli._common import (
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
    L1RatioOption,
    RankOption,
    SeedOption,
    SeparatorOption,
    SkipBadOption,
    WeightingOption,
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
from nmf_scratch.cli._complete import complete_solver
from nmf_scratch.cli._drawing import table_of, write_figures
from nmf_scratch.cli._runs import make_folder
from nmf_scratch.cli.train import data_hash

if TYPE_CHECKING:
    import pandas as pd

    from nmf_scratch.data.dataset import Dataset
    from nmf_scratch.history import EpochRecord
    from nmf_scratch.model import NMF

_COLUMNS = {
    "objective": ("objective", "{:.0f}"),
    "train_rmse": ("train RMSE", "{:.4f}"),
    "test_rmse": ("test RMSE", "{:.4f}"),
    "kkt": ("KKT", "{:.1e}"),
    "epoch": ("epochs", "{:.0f}"),
    "seconds": ("seconds", "{:.2f}"),
    "sparsity": ("zeros", "{:.0%}"),
}


def compare(
    solvers: Annotated[
        list[str] | None, typer.Argument(help="Solvers to compare.", show_default="all", autocompletion=complete_solver)
    ] = None,
    dataset: DatasetOption = None,
    n_components: RankOption = 40,
    folds: FoldsOption = "5",
    seed: SeedOption = 0,
    alpha: Annotated[float, typer.Option(help="Penalty on the factors, the same for all.")] = 0.2,
    alpha_bias: Annotated[float, typer.Option(help="Penalty on the biases, the same for all.")] = 16.0,
    weighting: WeightingOption = WEIGHTING,
    l1_ratio: L1RatioOption = 0.0,
    max_iter: Annotated[int, typer.Option(help="Epochs of every solver.")] = 60,
    seeds: Annotated[int, typer.Option(help="Starts for each fold.")] = 1,
    ranking: Annotated[
        bool, typer.Option("--ranking", help="Compare the lists of als and cd, beside popularity, item-kNN and EASE.")
    ] = False,
    columns: ColumnsOption = None,
    separator: SeparatorOption = None,
    encoding: EncodingOption = "utf-8",
    decimal: DecimalOption = ".",
    items: ItemsOption = None,
    duplicates: DuplicatesOption = None,
    skip_bad: SkipBadOption = False,
    data_dir: DataDirOption = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for compare.csv, .json and figures.")] = Path(
        "runs/compare"
    ),
    as_json: JsonOption = False,
) -> None:
    """Compare solvers on the same folds, from the same start, by the same objective."""
    options = locals()
    from nmf_scratch.evaluation.baselines import BiasModel
    from nmf_scratch.evaluation.comparison import PROBLEM, last_epochs
    from nmf_scratch.evaluation.cross_validation import cross_validate
    from nmf_scratch.plots.comparison import comparison_figures
    from nmf_scratch.solvers import SOLVERS

    names = list(solvers or [name for name, solver in SOLVERS.items() if solver.unobserved or not ranking])
    _check(names, {"--n-components": n_components, "--max-iter": max_iter, "--seeds": seeds}, seed)
    objective = replace(
        PROBLEM, alpha=(alpha, alpha), alpha_bias=(alpha_bias, alpha_bias),
        weighting=as_weighting(weighting), l1_ratio=l1_ratio,
    )  # fmt: skip
    models = _listing(names, n_components, seed) if ranking else {}
    if not models:
        make_folder(output)
    data = read_asked(options)
    note(describe_line(data))
    splitter = make_splitter(folds, data, seed)
    title = f"{data.name}, folds: {folds}, k = {n_components}"
    if models:
        _compare_lists(models, data, splitter, title, as_json)
        return
    table = _run(
        data, splitter, solvers=names, n_components=n_components, max_iter=max_iter, objective=objective,
        random_state=range(seed, seed + seeds),
    )  # fmt: skip
    bar = float(cross_validate(BiasModel(), data, cv=splitter)["rmse"].mean())
    _keep(output, table, {"dataset": data.name, "sha256": data_hash(data), "folds": folds, "bias_model_rmse": bar})
    title += f", {max_iter} epochs from one start"
    shown = write_figures(comparison_figures(table, title=title, bar=bar), output)
    means = last_epochs(table)
    if as_json:
        ends = means.reset_index().to_dict("records")
        print_json({"dataset": data.name, "folds": folds, "solvers": ends, "figures": shown})
    else:
        stdout.print(_pretty(means, title))
        stdout.print(table_of(shown, output))
        note(f"every epoch is in {output / 'compare.csv'}")


def _check(solvers: list[str], at_least_one: dict[str, int], seed: int) -> None:
    """Refuse solvers and numbers that cannot be, before any data is read."""
    from nmf_scratch.solvers import SOLVERS

    for name in solvers:
        check_choice("solver", name, SOLVERS)
    for option, number in at_least_one.items():
        check_number(option, number, minimum=1, integer=True)
    check_number("--seed", seed, minimum=0, integer=True)


def _listing(solvers: list[str], n_components: int, seed: int) -> dict[str, NMF]:
    """Build a model for lists with each solver."""
    from nmf_scratch.model import NMF

    models = {f"NMF, {name}": NMF(n_components, task="ranking", solver=name, random_state=seed) for name in solvers}
    for model in models.values():
        model.epochs()  # refuses solvers that cannot let unrated cells count
    return models


def _compare_lists(models: dict[str, NMF], data: Dataset, splitter: Any, title: str, as_json: bool) -> None:
    """Evaluate the lists of each solver and of the baselines, and print the table."""
    from nmf_scratch.cli._scores import rank_all, ranking_summary, ranking_table

    scores = rank_all(models, data, splitter)
    if as_json:
        print_json({"dataset": data.name, "mean": ranking_summary(scores)})
    else:
        stdout.print(ranking_table(scores, title))


def _run(data: Dataset, splitter: Any, **settings: Any) -> pd.DataFrame:
    from nmf_scratch._progress import EpochProgress
    from nmf_scratch.evaluation.comparison import LONGER
    from nmf_scratch.evaluation.comparison import compare as compare_solvers

    n_runs = splitter.get_n_splits() * len(settings["random_state"])
    with EpochProgress(n_runs * (len(settings["solvers"]) * settings["max_iter"] + LONGER), "comparing") as bar:

        def on_epoch(name: str, fold: int, record: EpochRecord) -> None:
            bar.tell(record, f"fold {fold}, {name}")

        return compare_solvers(data, cv=splitter, on_epoch=on_epoch, **settings)


def _keep(folder: Path, table: pd.DataFrame, facts: dict[str, Any]) -> None:
    write_file(folder / "compare.csv", table.to_csv(index=False))
    write_file(folder / "compare.json", json.dumps(facts, indent=2) + "\n")


def _pretty(means: pd.DataFrame, title: str) -> Table:
    table = new_table(title, caption="one problem for all; zeros: share of latent entries")
    table.add_column("solver")
    for label, _ in _COLUMNS.values():
        table.add_column(label, justify="right")
    for solver, row in means.iterrows():
        table.add_row(str(solver), *(form.format(row[name]) for name, (_, form) in _COLUMNS.items()))
    return table


if __name__ == "__main__":
    run_alone(compare)
