"""Why a score is what it is: its parts, and the ratings that put them there.

*Parts of a score.* r̂_ui = b_u + c_i + Σ_f w_uf h_if is a sum of non-negative parts, so the parts are the explanation:
so much because the user rates high, so much because the item is liked, so much for each latent factor they share.

*Which ratings put it there.* A user's row is exact (see `nmf_scratch.fitted.fold_in`): over the active factors S,
those with w_uf > 0, it solves A w = Σ_j h_j e_uj with A = Σ_j h_j h_jᵀ + λ_u I, and ω_0 HᵀH besides where unrated cells
count: a sum over the rated items j of what the biases leave, e_uj = r_uj − b_u − c_j. So each part of a score is itself
a sum over the user's own ratings,

    w_uf h_if = Σ_j h_if (A⁻¹ h_j)_f e_uj,

and the summands are called *influences*: Hu, Koren & Volinsky (ICDM 2008, section 5) explain their recommendations so,
here per factor and for the ratings that are active. It is exact for the loss 2 without lasso, where the row is exact
(and without biases where unrated cells count: what biases leave there is no rating's doing); for rows of stochastic
solvers it explains the row that `fold_in` would find.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from nmf_scratch._check import InputError
from nmf_scratch._html import summary
from nmf_scratch.data.inputs import UNKNOWN
from nmf_scratch.data.ratings import ones, take_rows
from nmf_scratch.fitted.factor_statistics import TITLES, factor_names
from nmf_scratch.fitted.state import Fitted, ResolvedUsers, item_names
from nmf_scratch.solvers.rows import gram_of

_NO_REASONS = pd.DataFrame({"factor": [], "item": [], "rating": [], "influence": []})
SHOWN = 5
"""How many factors a printed explanation shows."""

Matrix = NDArray[np.float64]
Seen = list[NDArray[Any]]  # a user's ratings: codes of the items, ratings, weights


@dataclass(frozen=True, eq=False)
class Explanation:
    """Why a score is what it is.

    Attributes
    ----------
    user, item
        Who and what was asked about.
    title : str
        Of the item; empty where unknown.
    score : float
        Predicted rating, unclipped: the sum of the parts.
    parts : DataFrame
        Columns part ("user bias", "item bias", "factor 3", …), contribution, in the unit of the ratings, and about: the
        factor's leading genres and titles. Biases first, then the largest part first.
    reasons : DataFrame
        Columns factor, item, title (where known), rating, influence: what each of the user's own ratings adds to each
        part, see the module. Largest influence first within a factor.
    """

    user: Any
    item: Any
    title: str
    score: float
    parts: pd.DataFrame
    reasons: pd.DataFrame

    def to_frame(self) -> pd.DataFrame:
        """Return the parts."""
        return self.parts.copy()

    def because(self, factor: int, n: int = TITLES) -> list[str]:
        """Name the user's own ratings that add most to one factor's part, with the rating."""
        mine = self.reasons[(self.reasons["factor"] == factor) & (self.reasons["influence"] > 0)].head(n)
        names = mine["title"] if "title" in mine else mine["item"]
        return [f"{name} ({rating:g})" for name, rating in zip(names, mine["rating"], strict=True)]

    def lines(self, n_factors: int = SHOWN) -> list[tuple[float, str, str, str]]:
        """Return what to print: (contribution, part, about, because), small factors added up in the last line."""
        is_factor = self.parts["part"].str.startswith("factor ")
        shown = self.parts[~is_factor | (is_factor.cumsum() <= n_factors) & (self.parts["contribution"] > 0)]
        lines: list[tuple[float, str, str, str]] = []
        for value, part, about in zip(shown["contribution"], shown["part"], shown["about"], strict=True):
            why = self.because(int(part.split()[1])) if part.startswith("factor ") else []
            lines.append((float(value), part, about, ", ".join(why)))
        rest = self.score - sum(contribution for contribution, *_ in lines)
        return [*lines, (rest, "other factors", "", "")] if is_factor.sum() > n_factors else lines

    def _repr_html_(self) -> str:
        return summary(self._head(), ["contribution", "part", "about", "you rated"], self.lines())

    def _head(self) -> str:
        return f"{self.title or self.item} for user {self.user}: {self.score:.2f}"

    def __str__(self) -> str:
        rows = [
            f"  {value:6.2f}  {part}{about and ': ' + about}{why and '; you rated ' + why}"
            for value, part, about, why in self.lines()
        ]
        return "\n".join([self._head(), *rows])


def explain(fitted: Fitted, user: Any, item: Any) -> Explanation:
    """Explain a score; see `NMF.explain`."""
    users, i = fitted.resolve([user]), int(fitted.item_codes([item])[0])
    name = "someone new" if users.folded else user
    if fitted.unknown != "bias" and (i == UNKNOWN or not users.known[0]):
        if fitted.unknown == "raise":
            what = f"item {item!r}" if i == UNKNOWN else f"user {name!r}"
            raise InputError(f"{what} was not seen in training (unknown='raise')")
        mean = pd.DataFrame({"part": ["mean rating"], "contribution": [fitted.mean_rating], "about": [""]})
        return Explanation(name, item, "", fitted.mean_rating, mean, _NO_REASONS.copy())
    factors = fitted.factors.with_average_rows(fitted.ratings)
    w, h = users.rows(factors.W)[0], factors.H[i].astype(np.float64)
    parts = _parts(fitted, w * h)
    reasons = _reasons(fitted, w.astype(np.float64), h, _own_ratings(fitted, users))
    title = item_names(fitted, np.array([i]))[0] if i != UNKNOWN and fitted.titles is not None else ""
    return Explanation(name, item, title, float(parts["contribution"].sum()), parts, reasons)


def _own_ratings(fitted: Fitted, users: ResolvedUsers) -> Seen:
    """Return what the one user has rated."""
    if users.folded:
        return [users.folded[0].codes, users.folded[0].ratings, ones()]
    return list(take_rows(fitted.ratings.by_user, users.codes[users.codes != UNKNOWN])[1:])


def _parts(fitted: Fitted, products: Matrix) -> pd.DataFrame:
    k = fitted.factors.n_components
    order = np.argsort(-products[:k], kind="stable")
    names = fitted.once(factor_names)
    latent = {
        "part": [f"factor {f}" for f in order],
        "contribution": products[order],
        "about": [names[f] for f in order],
    }
    biases = {"part": ["user bias", "item bias"], "contribution": products[k:], "about": ["", ""]}
    if not fitted.factors.biases:
        return pd.DataFrame(latent)
    return pd.concat([pd.DataFrame(biases), pd.DataFrame(latent)], ignore_index=True)


def influences(fitted: Fitted, w: Matrix, h: Matrix, seen: Seen) -> Matrix:
    """Return what each rating adds to each part of a score, shape (k, n_seen): the formula of the module."""
    items, values, weights = seen[0], *(column[: len(seen[0])].astype(np.float64) for column in seen[1:])
    weights, values = weights * fitted.preference.confidence(values), fitted.preference.targets(values)
    k, unit, roots = fitted.factors.n_components, fitted.unit, np.sqrt(weights)
    H = roots[:, None] * fitted.factors.H[items]
    active = w[:k] > 0
    left = roots * values - H[:, k:] @ w[k:]  # e_uj: what the biases leave
    n_items, double = len(fitted.factors.H), np.dtype(np.float64)
    strength = fitted.objective.penalty(0, weights.sum(keepdims=True), double, n_items)
    ridge = unit * float(strength.ridge[0])
    A = H[:, :k][:, active].T @ H[:, :k][:, active] + ridge * np.eye(int(active.sum()))
    if fitted.objective.unobserved_weight:
        A += fitted.once(_cells)[:k, :k][np.ix_(active, active)]
    table = np.zeros((k, len(items)))
    table[active] = h[:k][active, None] * (np.linalg.pinv(A, hermitian=True) @ H[:, :k][:, active].T) * left
    return table


def _cells(fitted: Fitted) -> Matrix:
    return gram_of(fitted.factors.H, fitted.objective.unobserved_weight)


def _reasons(fitted: Fitted, w: Matrix, h: Matrix, seen: Seen) -> pd.DataFrame:
    items, values = seen[0], seen[1].astype(np.float64)
    if not len(items) or fitted.objective.loss != 2:
        return _NO_REASONS.copy()
    table = influences(fitted, w, h, seen)
    factor, position = np.nonzero(table)
    order = np.lexsort((-table[factor, position], factor))
    factor, position = factor[order], position[order]
    frame = pd.DataFrame({"factor": factor, "item": fitted.item_ids[items[position]]})
    if fitted.titles is not None:
        frame["title"] = item_names(fitted, items[position])
    return frame.assign(rating=values[position], influence=table[factor, position])
