"""Tables of scores: errors of predicted ratings and quality of lists, of models and baselines on the same folds."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from nmf_scratch.cli._common import new_table
from nmf_scratch.evaluation import LISTS

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
    "rare": ("places of rare items", "{:.4f}", None),
    "rmse": ("RMSE, stars", "{:.4f}", min),
}
"""Metric: label, format, and which number is best."""


def score_all(model: NMF, dataset: Dataset, splitter: Any) -> dict[str, pd.DataFrame]:
    """Cross-validate the baselines and the model on the same folds, with a progress bar."""
    from nmf_scratch.evaluation.baselines import BASELINES
    from nmf_scratch.evaluation.cross_validation import cross_validate

    scores = {name: cross_validate(baseline(), dataset, cv=splitter) for name, baseline in BASELINES.items()}
    scores[model_name(model)] = with_bar(cross_validate, model, dataset, splitter, "cross-validation")
    return scores


def with_bar(measure: Any, model: NMF, dataset: Dataset, splitter: Any, what: str, **settings: Any) -> pd.DataFrame:
    """Let `cross_validate` or its like evaluate a model on folds, with a progress bar."""
    from nmf_scratch._progress import EpochProgress

    n_folds, epochs = splitter.get_n_splits(), model.epochs()
    with EpochProgress(n_folds * epochs, what) as bar:

        def on_fold(fold: int) -> None:
            bar.reach((fold - 1) * epochs, f"fold {fold} of {n_folds}")

        scores: pd.DataFrame = measure(model.clone(callbacks=(bar,)), dataset, cv=splitter, on_fold=on_fold, **settings)
    return scores


def model_name(model: NMF) -> str:
    """Return how tables name the model."""
    return LISTS if model.task == "ranking" else f"NMF, {solver_name(model)}, k = {model.n_components}"


def solver_name(model: NMF) -> str:
    """Return the name of the solver that a model will use."""
    from nmf_scratch.fitting import resolve

    return resolve(model).solver.name


def ranker(model: NMF) -> NMF:
    """Return the model that sorts lists beside one that predicts ratings: as many factors, the same seed."""
    return type(model)(model.n_components, task="ranking", random_state=model.random_state)


def summary(scores: dict[str, pd.DataFrame]) -> dict[str, dict[str, float]]:
    """Mean, deviation and standard error over the folds; of seconds the median, as the first fold compiles."""
    return {
        name: {
            "rmse": float(table["rmse"].mean()),
            "rmse_std": float(table["rmse"].std(ddof=1)),
            "rmse_standard_error": float(table["rmse"].std(ddof=1) / len(table) ** 0.5),
            "mae": float(table["mae"].mean()),
            "mae_std": float(table["mae"].std(ddof=1)),
            "mae_standard_error": float(table["mae"].std(ddof=1) / len(table) ** 0.5),
            "median_fit_seconds": float(table["fit_seconds"].median()),
            "median_predict_seconds": float(table["predict_seconds"].median()),
        }
        for name, table in scores.items()
    }


def score_table(scores: dict[str, pd.DataFrame], title: str) -> Table:
    """Build the table of models, the best number of each column in bold."""
    means = summary(scores)
    table = new_table(title, caption="±: standard error over the folds; lower is better")
    for column in ("model", "RMSE", "MAE", "fit, s"):
        table.add_column(column, justify="left" if column == "model" else "right")
    best = {metric: min(row[metric] for row in means.values()) for metric in ("rmse", "mae")}
    for name, row in means.items():
        cells = [_score_cell(row, metric, best[metric]) for metric in ("rmse", "mae")]
        table.add_row(name, *cells, f"{row['median_fit_seconds']:.2f}")
    return table


def _score_cell(row: dict[str, float], metric: str, best: float) -> Text:
    text = f"{row[metric]:.4f} ± {row[metric + '_standard_error']:.4f}"
    return Text(text, "bold" if row[metric] == best else "")


# --- how good are the lists -----------------------------------------------------------------------------------------


def rank_all(
    models: Mapping[str, NMF],
    data: Dataset,
    splitter: Any,
    length: int = 10,
    threshold: float | str = "mean",
    baselines: Iterable[str] | None = None,
) -> dict[str, pd.DataFrame]:
    """Evaluate the lists of baselines (all, unless named) and of models on the same folds, with progress bars."""
    from nmf_scratch.evaluation.baselines import RANKING_BASELINES
    from nmf_scratch.evaluation.cross_validation import evaluate_ranking

    settings: dict[str, Any] = {"k": length, "threshold": threshold}
    chosen = RANKING_BASELINES if baselines is None else baselines
    scores = {name: evaluate_ranking(RANKING_BASELINES[name](), data, cv=splitter, **settings) for name in chosen}
    for name, model in models.items():
        scores[name] = with_bar(evaluate_ranking, model, data, splitter, name, **settings)
    return scores


def liked_from(threshold: float | None, implicit: bool) -> float | str:
    """Return from which value on a test item was liked: whatever was chosen, or from the mean rating on."""
    if threshold is not None:
        return threshold
    return 0.0 if implicit else "mean"


def ranking_summary(scores: dict[str, pd.DataFrame]) -> dict[str, dict[str, float | None]]:
    """Mean and standard error over the folds of each ranking metric and RMSE, per model; None where there is none."""
    from nmf_scratch.evaluation.cross_validation import summarise

    means: dict[str, dict[str, float | None]] = {}
    for name, table in scores.items():
        rows = summarise(table).set_index("metric")
        for metric in _ROWS:
            numbers = {metric: rows.loc[metric, "mean"], f"{metric}_standard_error": rows.loc[metric, "standard_error"]}
            means.setdefault(name, {}).update(plain(numbers))
    return means


def plain(content: Any) -> Any:
    """Put None for NaN, which JSON does not know."""
    if isinstance(content, dict):
        return {name: plain(value) for name, value in content.items()}
    if isinstance(content, list):
        return [plain(value) for value in content]
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
        if not known:  # no model here predicts ratings
            continue
        best = best_of(known) if best_of else None
        table.add_row(
            label, *(_cell(row[metric], row[f"{metric}_standard_error"], form, best) for row in means.values())
        )
    return table


def _cell(mean: float | None, error: float | None, form: str, best: float | None) -> Text:
    if mean is None:
        return Text("–")
    text = form.format(mean) + ("" if error is None else f" ± {form.format(error)}")
    return Text(text, "bold" if mean == best else "")
