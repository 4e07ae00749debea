"""Compare lists with those of other libraries on MovieLens 100K, each tuned with equal care on the same inner splits.

    python benchmarks/lists.py --peers .venv-peers/bin/python      (or: make bench-peers)

How to be fair, in short:

- *The same question.* Train on four fifths (u1–u5), recommend ten items to each user of the test part among all that
  they have not rated in training; relevant is what they gave four stars or more.
- *Equal care.* Each model has a dozen settings around the best that a coarse look at two inner splits found. One is
  chosen for all folds: that with the highest mean nDCG@10 on five inner splits, one in each training part. Test parts
  choose nothing.
- *The same input.* Libraries for implicit feedback get the confidences that our model uses by default; implicit times a
  factor, which is among its settings.

Writes lists.json and lists.md into benchmarks/results, and the table into the README; with --quick (two settings each,
one fold) into runs/lists.
"""

from __future__ import annotations

import argparse
import itertools
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import output
import pandas as pd
from accuracy import write_between
from output import say
from peers import PeerError

from nmf_scratch import NMF, KFold, PredefinedSplit, evaluate_ranking, load_dataset
from nmf_scratch.data.inputs import encode
from nmf_scratch.evaluation.baselines import EASE, ItemKNN, Popularity
from nmf_scratch.evaluation.cross_validation import summarise
from nmf_scratch.fitted.state import scale_of
from nmf_scratch.problem.preference import Preference

SOURCE = Path(__file__).parent
LIKED = 4.0
MARKS = "<!-- lists: written by `make bench-peers` -->", "<!-- lists: end -->"
SHORT = ("ndcg", "recall", "coverage")
"""What the README shows."""

METRICS = {
    "ndcg": "nDCG@10",
    "recall": "recall@10",
    "precision": "precision@10",
    "coverage": "catalogue listed",
    "rare": "places of rare items",
}
Settings = dict[str, Any]


class Peer:
    """A library in an environment of its own, as an estimator that `evaluate_ranking` can score."""

    def __init__(self, python: str, library: str, **settings: Any) -> None:
        self.python, self.library, self.settings = python, library, settings

    def fit(self, X: Any, y: Any) -> Peer:
        """Fit, and recommend to everybody at once: the model does not outlive its process."""
        self.encoder_, ratings = encode(X, y)
        with tempfile.TemporaryDirectory() as folder:
            given, answer = Path(folder, "train.npz"), Path(folder, "lists.npz")
            shape = ratings.n_users, ratings.n_items
            weights = Preference.of(None, "stars", ratings, scale_of(ratings, "infer")).confidence(ratings.values)
            np.savez(given, users=ratings.users, items=ratings.items, weights=weights, shape=shape)
            words = [self.library, str(given), str(answer), json.dumps(self.settings)]
            done = subprocess.run(
                [self.python, str(SOURCE / "list_worker.py"), *words], capture_output=True, text=True, check=False
            )
            if done.returncode:
                raise PeerError((done.stderr.strip().splitlines() or ["died without a word"])[-1])
            with np.load(answer) as found:
                self.lists_ = found["lists"]
        return self

    def recommend(self, users: Any, n: int = 10) -> pd.DataFrame:
        """Return the lists of users, best first."""
        codes = self.encoder_.user_codes(users)
        lists = self.lists_[codes, :n]
        listed = lists >= 0
        asked = np.repeat(np.asarray(users), listed.sum(axis=1))
        return pd.DataFrame({"user": asked, "item": self.encoder_.items.classes_[lists[listed]]})


def grid(**values: Iterable[Any]) -> list[Settings]:
    """Return every combination of settings."""
    return [dict(zip(values, row, strict=True)) for row in itertools.product(*values.values())]


def contestants(peers: str) -> dict[str, tuple[Any, list[Settings]]]:
    """Return how each model is made and the settings to choose from."""

    def ours(**settings: Any) -> NMF:
        return NMF(task="ranking", random_state=0, **settings)

    def als(**settings: Any) -> Peer:
        return Peer(peers, "implicit", **settings)

    def poisson(**settings: Any) -> Peer:
        return Peer(peers, "poismf", **settings)

    weights = {"alpha": (0.2, 0.25, 0.3, 0.4), "unobserved_weight": (0.1, 0.2, 0.3)}
    return {
        "popularity": (Popularity, grid()),
        "item-kNN": (ItemKNN, grid(n_neighbours=(10, 20, 30, 50, 70, 100, 150, 200, 300, 400, 600, 1000))),
        "EASE": (EASE, grid(l2=(20, 50, 100, 150, 200, 300, 400, 500, 700, 1000, 1500, 2000))),
        "implicit, ALS": (als, grid(factors=(64, 100), scale=(6, 8), regularization=(40, 50, 60))),
        "poismf": (poisson, grid(k=(32, 64, 100), l2_reg=(20, 30, 50, 80))),
        "nmf-scratch": (ours, grid(**weights)),
        "nmf-scratch, n_starts=4": (ours, grid(n_starts=(4,), **weights)),
    }


def inner_splits(folds: list[tuple[np.ndarray, np.ndarray]]) -> list[tuple[np.ndarray, np.ndarray]]:
    """Split a fifth off each training part."""
    inner = []
    for fold, (train, _) in enumerate(folds):
        kept, held = next(iter(KFold(5, shuffle=True, random_state=fold).split(train)))
        inner.append((train[kept], train[held]))
    return inner


def evaluate(model: Any, data: Any, splits: list[Any]) -> pd.DataFrame:
    """Evaluate lists on splits."""
    return evaluate_ranking(model, data, cv=splits, threshold=LIKED)


def compete(name: str, make: Any, settings: list[Settings], data: Any, folds: list[Any]) -> dict[str, Any]:
    """Choose a setting on inner splits, and measure it on the folds."""
    inner = inner_splits(folds)
    tried = []
    for number, setting in enumerate(settings, start=1):
        score = float(evaluate(make(**setting), data, inner)["ndcg"].mean()) if len(settings) > 1 else np.nan
        tried.append({**setting, "inner_ndcg": score})
        say(f"{name}: {number} of {len(settings)}: {setting} {score:.4f}")
    best = settings[int(np.nanargmax([one["inner_ndcg"] for one in tried]))] if len(settings) > 1 else settings[0]
    table = evaluate(make(**best), data, folds)
    means = summarise(table).set_index("metric")
    say(f"{name}: {best} -> nDCG@10 {means.loc['ndcg', 'mean']:.4f}")
    scores = {metric: [float(means.loc[metric, part]) for part in ("mean", "standard_error")] for metric in METRICS}
    return {"settings": best, "tried": tried, "by_fold": table["ndcg"].tolist(), "scores": scores}


def as_markdown(results: dict[str, Any], metrics: Iterable[str] = METRICS) -> str:
    """Return the table, a line for each model."""
    rows = [line_of(name, result, metrics) for name, result in results["models"].items()]
    return output.table(2, ["model", "setting", *(METRICS[metric] for metric in metrics)], rows)


def line_of(name: str, result: dict[str, Any], metrics: Iterable[str]) -> list[str]:
    """Return the line of one model, or why there is none."""
    if "missing" in result:
        return [name, result["missing"], *("–" for _ in metrics)]
    setting = ", ".join(f"{key}={value}" for key, value in result["settings"].items()) or "none"
    return [name, setting, *(number(metric, *result["scores"][metric]) for metric in metrics)]


def number(metric: str, mean: float, error: float) -> str:
    """Format a mean, with its standard error where that says something."""
    return f"{mean:.4f} ± {error:.4f}" if metric == "ndcg" else f"{mean:.4f}"


def main() -> None:
    """Compete, write, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", default=sys.executable, help="Python that has the other libraries")
    parser.add_argument("--quick", action="store_true", help="two settings each, one fold, results in runs/lists")
    parser.add_argument("--only", nargs="+", help="names of models to measure again; the others stay as stored")
    options = parser.parse_args()
    data = load_dataset("ml-100k")
    folds = list(PredefinedSplit(data.test_fold).split(data.ratings))[: 1 if options.quick else None]
    folder = output.QUICK_RESULTS / "lists" if options.quick else output.RESULTS
    before = json.loads((folder / "lists.json").read_text(encoding="utf-8"))["models"] if options.only else {}
    results: dict[str, Any] = {**output.facts("make bench-peers"), "models": before}
    for name, (make, settings) in contestants(options.peers).items():
        if options.only and name not in options.only:
            continue
        settings = settings[: 2 if options.quick else None]
        try:
            results["models"][name] = compete(name, make, settings, data, folds)
        except PeerError as error:
            results["models"][name] = {"missing": str(error)}
            say(f"{name} is left out: {error}")
    folder.mkdir(parents=True, exist_ok=True)
    text = f"# Lists, against other libraries\n\n{output.preface(results)}\n\n{as_markdown(results)}\n"
    output.write(folder / "lists.json", json.dumps(results, indent=1) + "\n")
    output.write(folder / "lists.md", text)
    if not options.quick:
        write_between(MARKS, SOURCE.parent / "README.md", as_markdown(results, SHORT))
    print(as_markdown(results))


if __name__ == "__main__":
    main()
