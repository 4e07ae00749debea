"""What a report is made of: the model, its data, and what its run folder says; what is missing there is said so.

A model file alone is enough. It holds the training ratings and the titles, so without the data set (moved, changed
since, or never in a run folder) the report is about those, and lacks only what stood in other tables: users and time.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from nmf_scratch.data.dataset import Dataset
from nmf_scratch.data.inputs import encode
from nmf_scratch.evaluation import LISTS
from nmf_scratch.evaluation.baselines import BiasModel
from nmf_scratch.evaluation.comparison import KEYS, compare
from nmf_scratch.evaluation.diagnosis import HeldOut, training_ratings
from nmf_scratch.evaluation.metrics import rmse
from nmf_scratch.evaluation.splits import PredefinedSplit
from nmf_scratch.fitted.model_file import data_hash
from nmf_scratch.history import EpochRecord, TrainingHistory
from nmf_scratch.model import NMF

RUN, SCORES, VALIDATION = "run.json", "metrics.json", "history-validation.csv"
"""Files of a run folder that the report reads besides the model."""

COMPARISON, COMPARISON_FACTS = "compare.csv", "compare.json"
"""What `nmf-scratch compare` leaves: every epoch of every solver, and what was compared on what."""


class Comparison(NamedTuple):
    """Solvers side by side: what `compare` measured, the bias model's error, and whether it was only a brief look."""

    table: pd.DataFrame
    bar: float | None
    brief: bool


@dataclass(frozen=True)
class Material:
    """Everything that the sections of a report read.

    Attributes
    ----------
    model : NMF
        Fitted.
    dataset : Dataset
        What it was fitted to.
    run, scores : dict
        Contents of run.json and metrics.json; empty where the model stands in no run folder.
    validation : TrainingHistory, optional
        Of a fit that held ratings out.
    held_out : HeldOut, optional
        A fit whose predictions can be evaluated.
    comparison : Comparison, optional
        Solvers on the same data.
    command : str
        That makes this report.
    lists : NMF, optional
        The model that puts lists in order, where the run has another one for that.
    """

    model: NMF
    dataset: Dataset
    run: dict[str, Any] = field(default_factory=dict)
    scores: dict[str, Any] = field(default_factory=dict)
    validation: TrainingHistory | None = None
    held_out: HeldOut | None = None
    comparison: Comparison | None = None
    command: str = ""
    lists: NMF | None = None

    @property
    def name(self) -> str:
        """How the scores name the model."""
        if not self.model.predicts_ratings_:
            return LISTS
        return f"NMF, {self.model.solver_}, k = {self.model.W_.shape[1]}"

    @property
    def mean_scores(self) -> dict[str, dict[str, float]]:
        """Scores of the model and the baselines, averaged over the folds; empty where there are none."""
        means: dict[str, dict[str, float]] = self.scores.get("mean", {})
        return means

    @property
    def n_folds(self) -> int:
        """Folds behind the scores."""
        return len(next(iter(self.scores["by_fold"][self.name].values())))

    @property
    def scale(self) -> str:
        """The rating scale in words."""
        low, high = self.model.rating_scale_
        return f"on a scale from {low:g} to {high:g}"


def read_json(path: Path) -> dict[str, Any]:
    """Return what a file holds; nothing where there is none."""
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return content


def read_history(path: Path) -> TrainingHistory | None:
    """Return a history that was kept as a table; None where there is none."""
    if not path.is_file():
        return None
    frame = pd.read_csv(path)[list(EpochRecord._fields)]
    return TrainingHistory.from_array(frame.to_numpy(np.float64), [])


def data_of(model: NMF) -> Dataset:
    """Return the data as the model remembers it: its ratings, in the caller's ids, and its titles."""
    items = None if model.items_ is None else model.items_.assign(item=model.item_ids_)
    return Dataset("the model's ratings", training_ratings(model), items=items, source="the model file")


def is_of(model: NMF, dataset: Dataset) -> bool:
    """Tell whether a data set is what the model was trained on, whatever the order of its ratings."""
    encoder, ratings = encode(dataset)
    own = data_hash(model.fitted_.ratings, model.user_ids_, model.item_ids_)
    return own == data_hash(ratings, encoder.users.classes_, encoder.items.classes_)


def held_out(model: NMF, dataset: Dataset, train: NDArray[np.intp], test: NDArray[np.intp]) -> HeldOut:
    """Fit an equal model to a part of the ratings.

    Parameters
    ----------
    model : NMF
        Unfitted: it becomes the one that is held.
    dataset : Dataset
    train, test : ndarray of int
        Positions in its ratings.
    """
    parts = [dataset.ratings.iloc[part].reset_index(drop=True) for part in (train, test)]
    seen = Dataset(dataset.name, parts[0], items=dataset.items)
    return HeldOut(model.fit(seen), *parts)


def compare_briefly(
    dataset: Dataset, train: NDArray[np.intp], test: NDArray[np.intp], max_iter: int, on_epoch: Any = None
) -> Comparison:
    """Run every solver for a few epochs on one fold: enough to see who descends fast, not who is best in the end."""
    fold = np.full(len(dataset.ratings), -1)
    fold[test] = 0
    table = compare(dataset, cv=PredefinedSplit(fold), max_iter=max_iter, on_epoch=on_epoch)
    ratings = dataset.ratings
    pairs = ratings[["user", "item"]]
    bias = BiasModel().fit(pairs.iloc[train], ratings["rating"].to_numpy()[train])
    bar = rmse(ratings["rating"].to_numpy()[test], bias.predict(pairs.iloc[test]))
    return Comparison(table, bar, brief=True)


def read_comparison(folder: Path, sha256: str) -> Comparison | None:
    """Return the comparison kept in a folder, if it was made on the ratings with this hash."""
    facts, path = read_json(folder / COMPARISON_FACTS), folder / COMPARISON
    if facts.get("sha256") != sha256 or not path.is_file():
        return None
    table = pd.read_csv(path)
    if not {*KEYS, "reference"} <= set(table):
        return None  # of an earlier version
    return Comparison(table, facts.get("bias_model_rmse"), brief=False)
