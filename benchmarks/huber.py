"""Is a short memory of adam good because it is robust? Then a loss made for outliers should help als, too.

    python benchmarks/huber.py

On u1 to u5 of MovieLens 100K: sgd, adam with the short memory that is its default and with a long one, als, and als
with Huber's loss, by fitting again and again with the weights min(1, δ / |e|). δ is chosen on a fifth of the training
ratings of each fold. Results go to results/huber.json, and from there into docs/learn/adaptive-steps.md.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import output
from output import say

from nmf_scratch import NMF, load_dataset, train_test_split
from nmf_scratch.evaluation.metrics import rmse
from nmf_scratch.evaluation.splits import PredefinedSplit
from nmf_scratch.solvers import Adam

REFITS = 3
"""Fits with new weights, after the first one without; the residuals hardly move any more."""

DELTAS = (0.75, 1.0, 1.5, 2.0, 3.0)
"""Residuals, in stars, beyond which a rating counts less."""

PAIR = ["user", "item"]


def huber(train: Any, delta: float) -> NMF:
    """Fit als to Huber's loss."""
    weights = np.ones(len(train))
    for _ in range(1 + REFITS):
        model = NMF(solver="als", random_state=0).fit(train[PAIR], train["rating"], weights)
        errors = np.abs(train["rating"].to_numpy() - model.predict(train[PAIR]))
        weights = np.minimum(1.0, delta / np.maximum(errors, delta))
    return model


def best_huber(train: Any) -> NMF:
    """Fit als to Huber's loss, with the δ that does best on a part of the ratings."""
    inner, held_out = train_test_split(train, test_size=0.2, random_state=0)
    errors = {delta: error_of(huber(inner, delta), held_out) for delta in DELTAS}
    best = min(errors, key=lambda delta: errors[delta])
    say(f"  δ = {best} of { ({delta: round(error, 4) for delta, error in errors.items()}) }")
    return huber(train, best)


def error_of(model: NMF, test: Any) -> float:
    """Return the RMSE on ratings that the model has not seen."""
    return float(rmse(test["rating"].to_numpy(), model.predict(test[PAIR])))


MODELS: dict[str, Callable[[Any], NMF]] = {
    "`sgd`": lambda train: NMF(solver="sgd", random_state=0).fit(train[PAIR], train["rating"]),
    "`adam`, β₂ = 0.9": lambda train: NMF(solver="adam", random_state=0).fit(train[PAIR], train["rating"]),
    "`adam`, β₂ = 0.999": lambda train: NMF(solver=Adam(beta2=0.999), random_state=0).fit(train[PAIR], train["rating"]),
    "`als`": lambda train: NMF(solver="als", random_state=0).fit(train[PAIR], train["rating"]),
    "`als`, Huber's loss": best_huber,
}


def main() -> None:
    """Measure, write, print."""
    data = load_dataset("ml-100k")
    errors: dict[str, list[float]] = {name: [] for name in MODELS}
    for train, test in PredefinedSplit(data.test_fold).split(data.ratings):
        for name, fit in MODELS.items():
            errors[name].append(error_of(fit(data.ratings.iloc[train]), data.ratings.iloc[test]))
            say(f"{name}: {errors[name][-1]:.4f}")
    found = {**output.facts("python benchmarks/huber.py"), "rmse": errors}
    output.write(output.RESULTS / "huber.json", json.dumps(found, indent=1, ensure_ascii=False) + "\n")
    print({name: round(float(np.mean(values)), 4) for name, values in errors.items()})


if __name__ == "__main__":
    main()
