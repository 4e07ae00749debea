"""`nmf-scratch evaluate`: how well a solver predicts ratings that it has not seen, or how good its lists are."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from nmf_scratch._check import InputError, check_number
from nmf_scratch.cli._common import (
    RANK,
    SOLVER,
    WEIGHTING,
    AlphaBiasOption,
    AlphaOption,
    ColumnsOption,
    DataDirOption,
    DatasetOption,
    EncodingOption,
    ExactBelowOption,
    FoldsOption,
    ItemsOption,
    JsonOption,
    L1RatioOption,
    LossOption,
    MaxIterOption,
    RankOption,
    SeedOption,
    SeparatorOption,
    SolverOption,
    WeightingOption,
    describe_line,
    make_model,
    make_splitter,
    model_name,
    new_table,
    note,
    print_json,
    read_dataset,
    run_alone,
    score_all,
    score_table,
    stdout,
    summary,
    with_bar,
)

if TYPE_CHECKING:
    import pandas as pd

    from nmf_scratch.data.dataset import Dataset
    from nmf_scratch.model import NMF

_ROWS = {
    "ndcg": ("nDCG", "{:.4f}", max),
    "recall": ("recall", "{:.4f}", max),
    "precision": ("precision", "{:.4f}", max),
    "map": ("MAP", "{:.4f}", max),
    "mrr": ("MRR", "{:.4f}", max),
    "hit_rate": ("hit rate", "{:.4f}", max),
    "coverage": ("catalogue listed", "{:.4f}", max),
    "gini": ("Gini index", "{:.4f}", min),
    "novelty": ("novelty, bits", "{:.2f}", max),
    "popularity": ("ratings of an item", "{:.0f}", None),
    "rmse": ("RMSE, stars", "{:.4f}", min),
}
"""Metric: label, format, and which number is best."""


def evaluate(
    dataset: DatasetOption = None,
    solver: SolverOption = SOLVER,
    n_components: RankOption = RANK,
    folds: FoldsOption = "5",
    seed: SeedOption = 0,
    alpha: AlphaOption = None,
    alpha_bias: AlphaBiasOption = None,
    weighting: WeightingOption = WEIGHTING,
    l1_ratio: L1RatioOption = 0.0,
    exact_below: ExactBelowOption = 0,
    loss: LossOption = 2.0,
    max_iter: MaxIterOption = None,
    ranking: Annotated[
        bool,
        typer.Option(
            "--ranking",
            help="Judge lists instead, beside popularity, item-kNN, EASE and NMF for ranking.",
        ),
    ] = False,
    n: Annotated[int | None, typer.Option("-n", help="Length of the lists.", show_default="10")] = None,
    threshold: Annotated[
        float | None,
        typer.Option(help="Rating from which on an item was liked.", show_default="the mean training rating"),
    ] = None,
    columns: ColumnsOption = None,
    separator: SeparatorOption = None,
    encoding: EncodingOption = "utf-8",
    items: ItemsOption = None,
    data_dir: DataDirOption = None,
    as_json: JsonOption = False,
) -> None:
    """Cross-validate a solver beside the baselines (nothing is saved): RMSE and MAE, or ranking metrics."""
    model = make_model(solver, n_components, alpha, alpha_bias, max_iter, seed, loss, weighting, l1_ratio, exact_below)
    length = _check_ranking(ranking, n, threshold)
    data = read_dataset(
        dataset, data_dir=data_dir, columns=columns, separator=separator, encoding=encoding, items=items
    )
    note(describe_line(data))
    splitter = make_splitter(folds, data, seed)
    title = f"{data.name}, folds: {folds}"
    about: dict[str, Any] = {"dataset": data.name, "folds": folds, "seed": seed}
    means: dict[str, Any]
    if ranking:
        scores = rank_all(model, data, splitter, length, "mean" if threshold is None else threshold)
        means, table = ranking_summary(scores), ranking_table(scores, f"{title}, lists of {length}")
        about |= {"k": length, "threshold": threshold}
    else:
        scores = score_all(model, data, splitter)
        means, table = summary(scores), score_table(scores, title)
    if as_json:
        by_fold = {name: _plain(rows.to_dict("list")) for name, rows in scores.items()}
        print_json({**about, "mean": means, "by_fold": by_fold})
    else:
        stdout.print(table)


def _check_ranking(ranking: bool, n: int | None, threshold: float | None) -> int:
    """Return the length of the lists; refuse options that would have no effect."""
    for option, value in (("-n", n), ("--threshold", threshold)):
        if value is not None and not ranking:
            raise InputError(f"{option} {value:g} concerns lists: add --ranking, or leave it out")
    check_number("-n", length := 10 if n is None else n, minimum=1, integer=True)
    return length


def rank_all(model: NMF, data: Dataset, splitter: Any, length: int, threshold: float | str) -> dict[str, pd.DataFrame]:
    """Judge the lists of the baselines, of NMF for ranking and of the model on the same folds, with progress bars."""
    from nmf_scratch.evaluation.baselines import RANKING_BASELINES
    from nmf_scratch.evaluation.cross_validation import evaluate_ranking
    from nmf_scratch.model import NMF

    settings: dict[str, Any] = {"k": length, "threshold": threshold}
    scores = {name: evaluate_ranking(make(), data, cv=splitter, **settings) for name, make in RANKING_BASELINES.items()}
    ranker = NMF(model.n_components, task="ranking", random_state=model.random_state)
    for name, own in (("NMF, ranking", ranker), (model_name(model), model)):
        scores[name] = with_bar(evaluate_ranking, own, data, splitter, name, **settings)
    return scores


def ranking_summary(scores: dict[str, pd.DataFrame]) -> dict[str, dict[str, float | None]]:
    """Mean and standard error over the folds of each ranking metric and RMSE, per model; None where there is none."""
    from nmf_scratch.evaluation.cross_validation import summarise

    means: dict[str, dict[str, float | None]] = {}
    for name, table in scores.items():
        rows = summarise(table).set_index("metric")
        for metric in _ROWS:
            numbers = {metric: rows.loc[metric, "mean"], f"{metric}_standard_error": rows.loc[metric, "standard_error"]}
            means.setdefault(name, {}).update(_plain(numbers))
    return means


def _plain(content: Any) -> Any:
    """Put None for NaN, which JSON does not know."""
    if isinstance(content, dict):
        return {name: _plain(value) for name, value in content.items()}
    if isinstance(content, list):
        return [_plain(value) for value in content]
    return None if isinstance(content, float) and math.isnan(content) else content


def ranking_table(scores: dict[str, pd.DataFrame], title: str) -> Table:
    """Build the table of metrics, one column per model, the best of each row in bold."""
    means = ranking_summary(scores)
    table = new_table(title, caption="±: standard error over the folds; the best of a row is bold")
    table.add_column("")
    for name in means:
        table.add_column(name, justify="right")
    for metric, (label, form, best_of) in _ROWS.items():
        known = [mean for row in means.values() if (mean := row[metric]) is not None]
        best = best_of(known) if best_of else None
        table.add_row(
            label, *(_cell(row[metric], row[f"{metric}_standard_error"], form, best) for row in means.values())
        )
    return table


def _cell(mean: float | None, error: float | None, form: str, best: float | None) -> str:
    if mean is None:
        return "–"
    text = form.format(mean) + ("" if error is None else f" ± {form.format(error)}")
    return f"[bold]{text}[/bold]" if mean == best else text


if __name__ == "__main__":
    run_alone(evaluate)
