"""Reading a model: why a score is what it is, what each factor is about, and whether a second fit would say the same.

*Parts of a score.* r̂_ui = b_u + c_i + Σ_f w_uf h_if is a sum of non-negative parts, so the parts are the explanation:
so much because the user rates high, so much because the item is liked, so much for each taste they share.

*Which ratings put it there.* A user's row is exact (see `nmf_scratch.fitted.fold_in`): over the active factors S,
those with w_uf > 0, it solves A w = Σ_j h_j e_uj with A = Σ_j h_j h_jᵀ + λ_u I, a sum over the rated items j of what
the biases leave, e_uj = r_uj − b_u − c_j. So each part of a score is itself a sum over the user's own ratings,

    w_uf h_if = Σ_j h_if (A⁻¹ h_j)_f e_uj,

and the summands are called *influences*: Hu, Koren & Volinsky (ICDM 2008, section 5) explain their recommendations so,
here per factor and for the ratings that are active. It is exact for the loss 2 without lasso, where the row is exact;
for rows of stochastic solvers it explains the row that `fold_in` would find.

*What a factor is about.* In the training predictions item i gets m_if = h_if Σ_u∈Ω_i w_uf stars from factor f. An item,
or a genre, is typical of a factor where it gets more than its share `m_i· m_·f / m_··`. That ratio, the *lift*, is wild
where little is expected, so `PRIOR` ratings' worth of a lift of 1 is added: (m + s) / (expected + s), the shrinkage of
disproportionate counts (DuMouchel, *The American Statistician* 53(3), 1999). A *name* wants more: a genre of two dozen
films may have twice its share by chance. So the genres that name a factor are those with the largest standardised
excess (m − expected) / √expected (a Pearson residual), which a large genre reaches at a smaller lift than a rare one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from nmf_scratch._check import InputError, check_number
from nmf_scratch._html import summary
from nmf_scratch.data.genres import members
from nmf_scratch.data.inputs import UNKNOWN
from nmf_scratch.data.ratings import ones
from nmf_scratch.fitted.fold_in import take_rows
from nmf_scratch.fitted.similarity import directions
from nmf_scratch.fitted.update import UpdatableModel

PRIOR = 150
"""Ratings' worth of an average factor that lifts are shrunk by."""

_NO_REASONS = pd.DataFrame({"factor": [], "item": [], "rating": [], "influence": []})
TITLES, GENRES, SHOWN = 3, 2, 5
"""How many titles and genres name a factor, and how many factors a printed explanation shows."""

CARRIED = 0.1
"""A row counts as covered by a factor from this share of the factor's largest entry."""
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


def explain(model: UpdatableModel, user: Any, item: Any) -> Explanation:
    """Explain a score; see `NMF.explain`."""
    codes, folded = model._codes_of([user])
    i = int(model.item_codes([item])[0])
    name = "someone new" if folded else user
    if UNKNOWN in (codes[0], i) and model.unknown != "bias":
        if model.unknown == "raise":
            what = f"item {item!r}" if i == UNKNOWN else f"user {name!r}"
            raise InputError(f"{what} was not seen in training (unknown='raise')")
        mean = pd.DataFrame({"part": ["mean rating"], "contribution": [model.mean_rating_], "about": [""]})
        return Explanation(name, item, "", model.mean_rating_, mean, _NO_REASONS.copy())
    factors = model._factors.with_average_rows(model._ratings)
    h = factors.H[i].astype(np.float64)
    if codes[0] == UNKNOWN:
        w, seen = factors.W[UNKNOWN], [np.zeros(0, np.int64), np.zeros(0), np.zeros(0)]
    elif folded:
        w, seen = folded[0].row, [folded[0].codes, folded[0].ratings, ones()]
    else:
        w, (_, *seen) = factors.W[codes[0]], take_rows(model._ratings.by_user, codes[:1])
    parts = _parts(model, w * h)
    reasons = _reasons(model, w.astype(np.float64), h, seen)
    title = item_names(model, np.array([i]))[0] if i != UNKNOWN and _has_titles(model) else ""
    return Explanation(name, item, title, float(parts["contribution"].sum()), parts, reasons)


def _parts(model: UpdatableModel, products: Matrix) -> pd.DataFrame:
    k = model.n_components
    order = np.argsort(-products[:k], kind="stable")
    names = factor_names(model)
    latent = {
        "part": [f"factor {f}" for f in order],
        "contribution": products[order],
        "about": [names[f] for f in order],
    }
    biases = {"part": ["user bias", "item bias"], "contribution": products[k:], "about": ["", ""]}
    if not model.biases:
        return pd.DataFrame(latent)
    return pd.concat([pd.DataFrame(biases), pd.DataFrame(latent)], ignore_index=True)


def influences(model: UpdatableModel, w: Matrix, h: Matrix, seen: Seen) -> Matrix:
    """Return what each rating adds to each part of a score, shape (k, n_seen): the formula of the module."""
    items, values, weights = seen[0], *(column[: len(seen[0])].astype(np.float64) for column in seen[1:])
    k, unit, roots = model.n_components, model._unit, np.sqrt(weights)
    H = roots[:, None] * model._factors.H[items]
    active = w[:k] > 0
    left = roots * values - H[:, k:] @ w[k:]  # e_uj: what the biases leave
    strength = model._objective().penalty(0, weights.sum(keepdims=True), np.dtype(np.float64))
    ridge = unit * float(strength.ridge[0])
    A = H[:, :k][:, active].T @ H[:, :k][:, active] + ridge * np.eye(int(active.sum()))
    table = np.zeros((k, len(items)))
    table[active] = h[:k][active, None] * (np.linalg.pinv(A, hermitian=True) @ H[:, :k][:, active].T) * left
    return table


def _reasons(model: UpdatableModel, w: Matrix, h: Matrix, seen: Seen) -> pd.DataFrame:
    items, values = seen[0], seen[1].astype(np.float64)
    if not len(items) or model.loss != 2:
        return _NO_REASONS.copy()
    table = influences(model, w, h, seen)
    factor, position = np.nonzero(table)
    order = np.lexsort((-table[factor, position], factor))
    factor, position = factor[order], position[order]
    frame = pd.DataFrame({"factor": factor, "item": model.item_ids_[items[position]]})
    if _has_titles(model):
        frame["title"] = item_names(model, items[position])
    return frame.assign(rating=values[position], influence=table[factor, position])


# --- factors ---------------------------------------------------------------------------------------------------------


def masses(model: UpdatableModel) -> Matrix:
    """Return the stars that each item gets from each factor over all training predictions, shape (n_items, k)."""
    from scipy.sparse import csr_array

    ratings = model._ratings
    observed = csr_array((np.ones(len(ratings)), ratings.items, ratings.by_user.indptr), shape=ratings.shape)
    return np.asarray((observed.T @ model.W_.astype(np.float64)) * model.H_)


def expected_mass(mass: Matrix) -> Matrix:
    """Return what each row would have of each column if all rows had them in the same proportions; shape of `mass`."""
    return np.asarray(mass.sum(axis=1, keepdims=True) * mass.sum(axis=0) / (mass.sum() or 1.0))


def lifts(mass: Matrix, prior: float) -> Matrix:
    """Return how much more each row has of each column than its share, shrunk towards 1; shape of `mass`."""
    return np.asarray((mass + prior) / (expected_mass(mass) + prior))


def genre_members(model: UpdatableModel) -> pd.DataFrame:
    """Tell by 1 and 0 which genres (columns) each item (row) has; no columns where no genres are known."""
    if model.items_ is None or "genres" not in model.items_:
        return pd.DataFrame(index=range(len(model.item_ids_)))
    return members(model.items_["genres"])


def genre_lifts(model: UpdatableModel) -> pd.DataFrame:
    """Return the lift of each genre (rows) in each factor (columns); empty where no genres are known."""
    mass, member = masses(model), genre_members(model)
    return pd.DataFrame(lifts(member.to_numpy(dtype=float).T @ mass, prior_of(model, mass)), index=list(member.columns))


def genre_excess(model: UpdatableModel, mass: Matrix) -> pd.DataFrame:
    """Return the standardised excess of each genre (rows) in each factor (columns); `mass` is that of the items."""
    member = genre_members(model)
    mass = member.to_numpy(dtype=float).T @ mass
    expected = expected_mass(mass)
    excess = np.divide(mass - expected, np.sqrt(expected), out=np.zeros_like(mass), where=expected > 0)
    return pd.DataFrame(excess, index=list(member.columns))


def prior_of(model: UpdatableModel, mass: Matrix) -> float:
    """Return the stars that `PRIOR` ratings get from an average factor."""
    return PRIOR * float(mass.sum()) / (len(model._ratings) * mass.shape[1]) or 1.0


def factor_summary(model: UpdatableModel, n: int = TITLES) -> pd.DataFrame:
    """Say what each factor is about, and how much of the model it is.

    Parameters
    ----------
    model : NMF
        A fitted model.
    n : int
        Items that are named.

    Returns
    -------
    DataFrame
        One row per factor, the weightiest first, with columns

        - factor: its number, column of `W_` and `H_`;
        - share: of the stars that all factors together give in training, 0 … 1;
        - sparsity: of its column of `H_`, 0 for all entries equal to 1 for a single one (Hoyer, JMLR 5, 2004);
        - items, users: coverage, the share of rows with at least a tenth of the column's largest entry;
        - genres: those that stand out most, by standardised excess ("" where none are known);
        - titles: the n items (titles, else ids) with the largest lift.
    """
    check_number("n", n, minimum=1, integer=True)
    model._check_fitted()
    mass = masses(model)
    lift, genres = lifts(mass, prior_of(model, mass)), genre_excess(model, mass)
    leading = np.argsort(-lift, axis=0, kind="stable")[:n].T
    names = item_names(model, np.arange(len(mass)))
    rated = model._ratings.item_counts > 0, model._ratings.user_counts > 0
    frame = pd.DataFrame({"factor": np.arange(mass.shape[1]), "share": mass.sum(axis=0) / (mass.sum() or 1.0)})
    frame["sparsity"] = sparsity(model.H_[rated[0]])
    frame["items"], frame["users"] = _coverage(model.H_[rated[0]]), _coverage(model.W_[rated[1]])
    best = [genres[f].nlargest(GENRES) if len(genres) else pd.Series(dtype=float) for f in range(mass.shape[1])]
    frame["genres"] = [", ".join(column[column > 0].index) for column in best]
    frame["titles"] = [[str(names[i]) for i in row] for row in leading]
    return frame.sort_values("share", ascending=False, kind="stable", ignore_index=True)


def factor_names(model: UpdatableModel) -> list[str]:
    """Return a name for each factor, its leading genres and titles; prepared once per fit."""
    if model._named is None or model._named[0] is not model._factors:
        summary = factor_summary(model).sort_values("factor")
        pairs = zip(summary["genres"], summary["titles"], strict=True)
        model._named = model._factors, [f"{genres}{genres and ': '}{', '.join(titles)}" for genres, titles in pairs]
    return model._named[1]


def sparsity(H: NDArray[Any]) -> Matrix:
    """Return Hoyer's measure of each column, (√n − ‖h‖₁ / ‖h‖₂) / (√n − 1); 1 for a column of zeros."""
    root, lengths = np.sqrt(len(H)), np.linalg.norm(H.astype(np.float64), axis=0)
    ratio = np.divide(H.sum(axis=0, dtype=np.float64), lengths, out=np.ones(H.shape[1]), where=lengths > 0)
    return np.asarray((root - ratio) / max(root - 1, 1e-12))


def _coverage(X: NDArray[Any]) -> Matrix:
    largest = X.max(axis=0)
    return np.asarray(((CARRIED * largest <= X) & (largest > 0)).mean(axis=0))


def _has_titles(model: UpdatableModel) -> bool:
    return model.items_ is not None and "title" in model.items_


def item_names(model: UpdatableModel, codes: NDArray[Any]) -> list[str]:
    """Name items by title, or by id where there is none."""
    ids = [str(item) for item in model.item_ids_[codes]]
    if model.items_ is None or "title" not in model.items_:
        return ids
    titles = model.items_["title"].fillna("").astype(str).to_numpy()[codes]
    return [title or item for title, item in zip(titles, ids, strict=True)]


class Normalized(NamedTuple):
    """Latent factors whose columns can be compared; W @ H.T is the model's.

    Attributes
    ----------
    W : ndarray, shape (n_users, k)
        In the unit of the ratings: stars that the factor gives on an item of average weight.
    H : ndarray, shape (n_items, k)
        Weights without a unit; the average over all training ratings is 1.
    """

    W: Matrix
    H: Matrix


def normalize(model: UpdatableModel) -> Normalized:
    """Scale each factor's columns to comparable units; predictions stay the same.

    A factor may be large in W and small in H or the other way round: only the product is seen by the data. The ridge
    settles it in training, by making both sides cost the same; that balance is lost here. So this is for reading: the
    objective of the scaled pair is higher, the model itself is left as it is, and `fold_in` goes on from the model.

    Parameters
    ----------
    model : NMF
        A fitted model.
    """
    model._check_fitted()
    counts = model._ratings.item_counts.astype(np.float64)
    mean = counts @ model.H_.astype(np.float64) / counts.sum()
    scale = np.where(mean > 0, mean, 1.0)
    return Normalized(model.W_ * scale, model.H_ / scale)


def stability(model: UpdatableModel, X: Any, y: ArrayLike | None = None, *, n_seeds: int = 5) -> pd.DataFrame:
    """Tell which factors come back when the fit starts elsewhere: those are in the data, others in the seed.

    The model is fitted with other seeds; the factors of each fit are paired with those of the given one so that the sum
    of the cosines of their columns of H is largest (optimal assignment: Kuhn 1955, `scipy.optimize`).

    Parameters
    ----------
    model : NMF
        A fitted model.
    X, y
        What it was fitted to.
    n_seeds : int
        Further fits.

    Returns
    -------
    DataFrame
        One row per factor: factor, mean and minimum of the cosine with its partners; the most stable first.
    """
    from scipy.optimize import linear_sum_assignment

    check_number("n_seeds", n_seeds, minimum=1, integer=True)
    model._check_fitted()
    columns, found = directions(model.H_.T.astype(np.float64)), []
    for seed in range(n_seeds):
        other = type(model)(**{**model.get_params(), "random_state": model.key_ ^ (seed + 1)}).fit(X, y)
        if not np.array_equal(other.item_ids_, model.item_ids_):
            raise InputError("X must be what the model was fitted to: it has other items")
        cosines = columns @ directions(other.H_.T.astype(np.float64)).T
        rows, partners = linear_sum_assignment(-cosines)
        found.append(cosines[rows, partners])
    table = pd.DataFrame({"factor": np.arange(len(columns)), "mean": np.mean(found, 0), "minimum": np.min(found, 0)})
    return table.sort_values("mean", ascending=False, kind="stable", ignore_index=True)
