"""One fit of another library, and its lists.

    python list_worker.py LIBRARY TRAIN.npz LISTS.npz SETTINGS

Runs in the environment of that library, without nmf_scratch. TRAIN holds users, items, weights and shape; LISTS gets
the ten best items of every user that are not in TRAIN, shape (n_users, 10), −1 where a list ends early.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import numpy as np
from scipy.sparse import coo_matrix, csr_matrix

N = 10


def implicit(train: csr_matrix, *, factors: int, scale: float, regularization: float) -> np.ndarray:
    """Alternating least squares on all cells: unrated ones count 1, rated ones their confidence times a scale."""
    from implicit.cpu.als import AlternatingLeastSquares

    model = AlternatingLeastSquares(
        factors=factors, regularization=regularization, alpha=scale, iterations=15, random_state=0
    )
    model.fit(train, show_progress=False)
    lists, _ = model.recommend(np.arange(train.shape[0]), train, N=N, filter_already_liked_items=True)
    return lists


def poismf(train: csr_matrix, *, k: int, l2_reg: float) -> np.ndarray:
    """Poisson factorisation: non-negative, of all cells, by conjugate gradients."""
    from poismf import PoisMF

    model = PoisMF(k=k, l2_reg=l2_reg, method="tncg", random_state=0, produce_dicts=False)
    model.fit(coo_matrix(train))
    scores = np.asarray(model.A) @ np.asarray(model.B).T
    scores[train.nonzero()] = -np.inf
    return np.argsort(-scores, axis=1, kind="stable")[:, :N]


LIBRARIES = {"implicit": implicit, "poismf": poismf}


def main(library: str, given: str, answer: str, words: str) -> None:
    """Read, fit, recommend, write."""
    settings: dict[str, Any] = json.loads(words)
    with np.load(given) as data:
        train = csr_matrix((data["weights"], (data["users"], data["items"])), shape=tuple(data["shape"]))
    lists = np.asarray(LIBRARIES[library](train, **settings), dtype=np.int64)
    lists[(lists < 0) | (lists >= train.shape[1])] = -1
    np.savez(answer, lists=lists)


if __name__ == "__main__":
    main(*sys.argv[1:])
