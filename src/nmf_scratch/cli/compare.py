"""`nmf-scratch compare`: every solver on one problem, from one start, on the same folds."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from nmf_scratch._check import check_choice, check_number
from nmf_scratch.cli._common import (
    WEIGHTING,
    ColumnsOption,
    DataDirOption,
    DatasetOption,
    EncodingOption,
    FoldsOption,
    ItemsOption,
    JsonOption,
    L1RatioOption,
    RankOption,
    SeedOption,
    SeparatorOption,
    WeightingOption,
    as_weighting,
    check_folds,
    describe_line,
    make_splitter,
    new_table,
    note,
    print_json,
    read_dataset,
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
    columns: ColumnsOption = None,
    separator: SeparatorOption = None,
    encoding: EncodingOption = "utf-8",
    items: ItemsOption = None,
    data_dir: DataDirOption = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for compare.csv, .json and figures.")] = Path(
        "runs/compare"
    ),
    as_json: JsonOption = False,
) -> None:
    """Compare solvers on the same folds, from the same start, by the same objective."""
    from nmf_scratch.evaluation.baselines import BiasModel
    from nmf_scratch.evaluation.comparison import PROBLEM, last_epochs
    from nmf_scratch.evaluation.cross_validation import cross_validate
    from nmf_scratch.plots.comparison import comparison_figures
    from nmf_scratch.solvers import SOLVERS

    names = list(solvers or SOLVERS)
    for name in names:
        check_choice("solver", name, SOLVERS)
    for option, number in (("--n-components", n_components), ("--max-iter", max_iter), ("--seeds", seeds)):
        check_number(option, number, minimum=1, integer=True)
    check_number("--seed", seed, minimum=0, integer=True)
    check_folds(folds)
    objective = replace(
        PROBLEM, alpha=(alpha, alpha), alpha_bias=(alpha_bias, alpha_bias),
        weighting=as_weighting(weighting), l1_ratio=l1_ratio,
    )  # fmt: skip
    make_folder(output)
    data = read_dataset(
        dataset, data_dir=data_dir, columns=columns, separator=separator, encoding=encoding, items=items
    )
    note(describe_line(data))
    splitter = make_splitter(folds, data, seed)
    table = _run(
        data, splitter, solvers=names, n_components=n_components, max_iter=max_iter,
        random_state=range(seed, seed + seeds),
        objective=objective,
    )  # fmt: skip
    bar = float(cross_validate(BiasModel(), data, cv=splitter)["rmse"].mean())
    _keep(output, table, {"dataset": data.name, "sha256": data_hash(data), "folds": folds, "bias_model_rmse": bar})
    title = f"{data.name}, folds: {folds}, k = {n_components}, {max_iter} epochs from one start"
    shown = write_figures(comparison_figures(table, title=title, bar=bar), output)
    means = last_epochs(table)
    if as_json:
        ends = means.reset_index().to_dict("records")
        print_json({"dataset": data.name, "folds": folds, "solvers": ends, "figures": shown})
    else:
        stdout.print(_pretty(means, title))
        stdout.print(table_of(shown, output))
        note(f"every epoch is in {output / 'compare.csv'}")


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
    table.to_csv(folder / "compare.csv", index=False)
    (folder / "compare.json").write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")


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
