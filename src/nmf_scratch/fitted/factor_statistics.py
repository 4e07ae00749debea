"""What the factors of a model are about: their items and genres, how strong they are, and whether they come back.

*What a factor is about.* In the training predictions item i gets m_if = h_if Σ_u∈Ω_i w_uf stars from factor f. An item,
or a genre, is typical of a factor where it gets more than its share `m_i· m_·f / m_··`. That ratio, the *lift*, is wild
where little is expected, so `PRIOR` ratings' worth of a lift of 1 is added: (m + s) / (expected + s), the shrinkage of
disproportionate counts (DuMouchel, *The American Statistician* 53(3), 1999). A *name* wants more: a genre of two dozen
films may have twice its share by chance. So the genres that name a factor are those with the largest standardised
excess (m − expected) / √expected (a Pearson residual), which a large genre reaches at a smaller lift than a rare one.

*Strength.* Factor f adds w_f h_fᵀ to the matrix of predictions. The root mean square of that term over all pairs,

    s_f = ‖w_f‖ ‖h_f‖ / √(n_users n_items),

is in the unit of the ratings and does not depend on how the factor is scaled between W and H. The singular values of
W Hᵀ, in the same unit, are those of the best orthogonal terms instead. The terms of a non-negative factorisation are
not orthogonal: no two can cancel, so Σ s_f² ≤ Σ σ_f², and what is missing is overlap.

*Share of explained variance.* With the parts p_f of a prediction (factors and biases), r̂ = Σ_f p_f, and means over Ω,

    R² = 1 − Σ (r − r̂)² / Σ (r − r̄)²,   Σ (r − r̄)² − Σ (r − r̂)² = Σ (r̂ − r̄) v   with v = 2r − r̄ − r̂.

Put the parts for r̂, and R² is a sum of one share per part,

    Σ_Ω (p_f − p̄_f) v / Σ_Ω (r − r̄)²,

and of −n (mean r̂ − r̄)² / Σ (r − r̄)², which is nearly nothing. A share below zero means that the part moves against
what was rated. It is a way of dividing the credit among parts that overlap, in the ratings trained on, and not what
would be lost without the part.

*Maps.* Rows are scaled so that factors are comparable (`normalize`) and to length one, so that only the mix of factors
counts; the two principal directions of the rows about their mean are the axes (Pearson, *On lines and planes of closest
fit*, 1901). No neighbour is made up: what two directions cannot show is left out, and their share of the variance says
how much is shown.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from nmf_scratch._check import InputError, check_number
from nmf_scratch.data.genres import members
from nmf_scratch.fitted.similarity import directions
from nmf_scratch.fitted.state import Fitted, item_names

PRIOR = 150
"""Ratings' worth of an average factor that lifts are shrunk by."""

TITLES, GENRES = 3, 2
"""How many titles and genres name a factor."""

CARRIED = 0.1
"""A row counts as covered by a factor from this share of the factor's largest entry."""

Matrix = NDArray[np.float64]


def masses(fitted: Fitted) -> Matrix:
    """Return the stars that each item gets from each factor over all training predictions, shape (n_items, k)."""
    from scipy.sparse import csr_array

    ratings = fitted.ratings
    observed = csr_array((np.ones(len(ratings)), ratings.items, ratings.by_user.indptr), shape=ratings.shape)
    return np.asarray((observed.T @ fitted.W.astype(np.float64)) * fitted.H)


def expected_mass(mass: Matrix) -> Matrix:
    """Return what each row would have of each column if all rows had them in the same proportions; shape of `mass`."""
    return np.asarray(mass.sum(axis=1, keepdims=True) * mass.sum(axis=0) / (mass.sum() or 1.0))


def lifts(mass: Matrix, prior: float) -> Matrix:
    """Return how much more each row has of each column than its share, shrunk towards 1; shape of `mass`."""
    return np.asarray((mass + prior) / (expected_mass(mass) + prior))


def genre_members(fitted: Fitted) -> pd.DataFrame:
    """Tell by 1 and 0 which genres (columns) each item (row) has; no columns where no genres are known."""
    if fitted.items is None or "genres" not in fitted.items:
        return pd.DataFrame(index=range(len(fitted.item_ids)))
    return members(fitted.items["genres"])


def genre_lifts(fitted: Fitted) -> pd.DataFrame:
    """Return the lift of each genre (rows) in each factor (columns); empty where no genres are known."""
    mass, member = masses(fitted), genre_members(fitted)
    return pd.DataFrame(
        lifts(member.to_numpy(dtype=float).T @ mass, prior_of(fitted, mass)), index=list(member.columns)
    )


def genre_excess(fitted: Fitted, mass: Matrix) -> pd.DataFrame:
    """Return the standardised excess of each genre (rows) in each factor (columns); `mass` is that of the items."""
    member = genre_members(fitted)
    mass = member.to_numpy(dtype=float).T @ mass
    expected = expected_mass(mass)
    excess = np.divide(mass - expected, np.sqrt(expected), out=np.zeros_like(mass), where=expected > 0)
    return pd.DataFrame(excess, index=list(member.columns))


def prior_of(fitted: Fitted, mass: Matrix) -> float:
    """Return the stars that `PRIOR` ratings get from an average factor."""
    return PRIOR * float(mass.sum()) / (len(fitted.ratings) * mass.shape[1]) or 1.0


def factor_summary(fitted: Fitted, n: int = TITLES) -> pd.DataFrame:
    """Say what each factor is about, and how much of the model it is; see `NMF.factor_summary`."""
    mass, _, leading = _leading(fitted, n)
    genres = genre_excess(fitted, mass)
    names = item_names(fitted, np.arange(len(mass)))
    rated = fitted.ratings.item_counts > 0, fitted.ratings.user_counts > 0
    frame = pd.DataFrame({"factor": np.arange(mass.shape[1]), "share": mass.sum(axis=0) / (mass.sum() or 1.0)})
    frame["sparsity"] = sparsity(fitted.H[rated[0]])
    frame["items"], frame["users"] = _coverage(fitted.H[rated[0]]), _coverage(fitted.W[rated[1]])
    best = [genres[f].nlargest(GENRES) if len(genres) else pd.Series(dtype=float) for f in range(mass.shape[1])]
    frame["genres"] = [", ".join(column[column > 0].index) for column in best]
    frame["titles"] = [[str(names[i]) for i in row] for row in leading]
    return frame.sort_values("share", ascending=False, kind="stable", ignore_index=True)


def _leading(fitted: Fitted, n: int) -> tuple[Matrix, Matrix, NDArray[np.intp]]:
    """Return the mass and the lift of each item in each factor, and the n items of largest lift, shape (k, n)."""
    check_number("n", n, minimum=1, integer=True)
    mass = masses(fitted)
    lift = lifts(mass, prior_of(fitted, mass))
    return mass, lift, np.argsort(-lift, axis=0, kind="stable")[:n].T


def factor_names(fitted: Fitted) -> list[str]:
    """Return a name for each factor, its leading genres and titles; ask for it by `fitted.once`."""
    summary = factor_summary(fitted).sort_values("factor")
    pairs = zip(summary["genres"], summary["titles"], strict=True)
    return [f"{genres}{genres and ': '}{', '.join(titles)}" for genres, titles in pairs]


def sparsity(H: NDArray[Any]) -> Matrix:
    """Return Hoyer's measure of each column, (√n − ‖h‖₁ / ‖h‖₂) / (√n − 1); 1 for a column of zeros."""
    root, lengths = np.sqrt(len(H)), np.linalg.norm(H.astype(np.float64), axis=0)
    ratio = np.divide(H.sum(axis=0, dtype=np.float64), lengths, out=np.ones(H.shape[1]), where=lengths > 0)
    return np.asarray((root - ratio) / max(root - 1, 1e-12))


def _coverage(X: NDArray[Any]) -> Matrix:
    largest = X.max(axis=0)
    return np.asarray(((CARRIED * largest <= X) & (largest > 0)).mean(axis=0))


# --- strength, usage, scale -----------------------------------------------------------------------------------------


def trained_rows(fitted: Fitted) -> tuple[Matrix, Matrix]:
    """Return the latent factors of the users and items that have ratings, shapes (≤ n_users, k) and (≤ n_items, k)."""
    ratings = fitted.ratings
    W, H = fitted.W[ratings.user_counts > 0], fitted.H[ratings.item_counts > 0]
    return W.astype(np.float64), H.astype(np.float64)


def factor_strengths(fitted: Fitted) -> pd.DataFrame:
    """Tell how strong each part of the predictions is, and how much of the ratings it explains.

    Parameters
    ----------
    fitted : Fitted
        Of a model, its `fitted_`.

    Returns
    -------
    DataFrame
        One row per part: the factors, the strongest first, then the biases where there are any. Columns part ("factor
        3", "user bias", …), strength (root mean square over all pairs, in the unit of the ratings, or of the scores of
        a model that ranks) and explained (share of the variance of the ratings trained on; they add up to R²; NaN of a
        model that ranks), see the module.
    """
    W, H = trained_rows(fitted)
    frame = pd.DataFrame({"part": [f"factor {f}" for f in range(W.shape[1])]})
    frame["strength"] = np.linalg.norm(W, axis=0) * np.linalg.norm(H, axis=0) / np.sqrt(len(W) * len(H))
    if fitted.factors.biases:
        rated = fitted.ratings.user_counts > 0, fitted.ratings.item_counts > 0
        levels = fitted.user_bias[rated[0]], fitted.item_bias[rated[1]]
        strength = [float(np.sqrt(np.mean(level.astype(np.float64) ** 2))) for level in levels]
        frame = pd.concat([frame, pd.DataFrame({"part": ["user bias", "item bias"], "strength": strength})])
    frame["explained"] = _explained(fitted) if fitted.predicts_ratings else np.nan
    k = W.shape[1]
    order = [*np.argsort(-frame["strength"].to_numpy()[:k], kind="stable"), *range(k, len(frame))]
    return frame.iloc[order].reset_index(drop=True)


def _explained(fitted: Fitted) -> Matrix:
    """Return the share of each column of the factors: latent, user bias, item bias."""
    from scipy.sparse import csr_array

    ratings = fitted.ratings
    r, predicted = ratings.values.astype(np.float64), fitted.factors.predict(ratings.users, ratings.items)
    W, H = fitted.factors.W.astype(np.float64), fitted.factors.H.astype(np.float64)

    def over_pairs(weights: Matrix) -> Matrix:
        """Return Σ_Ω weight · part, for each part."""
        total: Matrix = (
            W * (csr_array((weights, ratings.items, ratings.by_user.indptr), shape=ratings.shape) @ H)
        ).sum(0)
        return total

    v = 2 * r - r.mean() - predicted
    gained = over_pairs(v) - over_pairs(np.ones(len(r))) * v.mean()
    share: Matrix = gained / (np.sum((r - r.mean()) ** 2) or 1.0)
    return share


def singular_values(fitted: Fitted) -> Matrix:
    """Return the singular values of W Hᵀ over √(n_users n_items), largest first, in the unit of the ratings: (k,)."""
    W, H = trained_rows(fitted)
    root_w, root_h = (np.asarray(np.linalg.qr(side, mode="r")) for side in (W, H))  # W Hᵀ has their singular values
    found: Matrix = np.linalg.svd(root_w @ root_h.T, compute_uv=False)
    values = np.zeros(W.shape[1])
    values[: len(found)] = found / np.sqrt(len(W) * len(H))
    return values


def leading_items(fitted: Fitted, n: int = TITLES) -> pd.DataFrame:
    """Name the items that are most typical of each factor.

    Parameters
    ----------
    fitted : Fitted
        Of a model, its `fitted_`.
    n : int
        Items per factor; fewer where there are fewer.

    Returns
    -------
    DataFrame
        Columns factor, name (title, else id) and lift (how many times its share the item gets from the factor,
        shrunk, see the module); by factor, the largest lift first.
    """
    _, lift, leading = _leading(fitted, n)
    factor = np.repeat(np.arange(len(leading)), leading.shape[1])
    names = item_names(fitted, leading.ravel())
    return pd.DataFrame({"factor": factor, "name": names, "lift": lift[leading.ravel(), factor]})


def factor_usage(fitted: Fitted) -> pd.DataFrame:
    """Tell how much each factor gives, and how many rows have nothing or little of it.

    Parameters
    ----------
    fitted : Fitted
        Of a model, its `fitted_`.

    Returns
    -------
    DataFrame
        One row per factor, the weightiest first: factor, share (of what all factors predict in training), users_zero
        and items_zero (share of rows whose entry is exactly 0), users_small and items_small (of rows with less than a
        tenth of the column's largest entry, but not 0). Rows without ratings do not count.
    """
    frame = factor_summary(fitted)[["factor", "share"]]
    for side, X in zip(("users", "items"), trained_rows(fitted), strict=True):
        zero = (X == 0)[:, frame["factor"]]
        little = (CARRIED * X.max(axis=0) > X)[:, frame["factor"]]
        frame[f"{side}_zero"], frame[f"{side}_small"] = zero.mean(axis=0), (little & ~zero).mean(axis=0)
    return frame


def nearest_factors(fitted: Fitted) -> Matrix:
    """Return, for each factor, the largest cosine of its column of H with another's, shape (k,); 0 for a single one.

    It is what `stability` must be held against: a factor that comes back no more alike than its neighbour in the same
    model has not come back.
    """
    columns = directions(trained_rows(fitted)[1].T)
    cosines = columns @ columns.T
    np.fill_diagonal(cosines, 0.0)
    nearest: Matrix = cosines.max(axis=1)
    return nearest


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


def normalize(fitted: Fitted) -> Normalized:
    """Scale each factor's columns to comparable units; predictions stay the same.

    A factor may be large in W and small in H or the other way round: only the product is seen by the data. The ridge
    settles it in training, by making both sides cost the same; that balance is lost here. So this is for reading: the
    objective of the scaled pair is higher, the model itself is left as it is, and `fold_in` goes on from the model.

    Parameters
    ----------
    fitted : Fitted
        Of a model, its `fitted_`.
    """
    counts = fitted.ratings.item_counts.astype(np.float64)
    mean = counts @ fitted.H.astype(np.float64) / counts.sum()
    scale = np.where(mean > 0, mean, 1.0)
    return Normalized(fitted.W * scale, fitted.H / scale)


def stability(model: Any, X: Any, y: ArrayLike | None = None, *, n_seeds: int = 5) -> pd.DataFrame:
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
    columns, found = directions(model.H_.T.astype(np.float64)), []
    for seed in range(n_seeds):
        other = model.clone(random_state=model.key_ ^ (seed + 1)).fit(X, y)
        if not np.array_equal(other.item_ids_, model.item_ids_):
            raise InputError("X must be what the model was fitted to: it has other items")
        cosines = columns @ directions(other.H_.T.astype(np.float64)).T
        rows, partners = linear_sum_assignment(-cosines)
        found.append(cosines[rows, partners])
    table = pd.DataFrame({"factor": np.arange(len(columns)), "mean": np.mean(found, 0), "minimum": np.min(found, 0)})
    return table.sort_values("mean", ascending=False, kind="stable", ignore_index=True)


# --- maps ------------------------------------------------------------------------------------------------------------


class Map(NamedTuple):
    """Users or items in the plane.

    Attributes
    ----------
    table : DataFrame
        One row per user or item, the most rated (most active) first: x, y, name, ratings (training ratings) and group
        (leading genre; "factor 3" where no genres are known).
    shares : (float, float)
        Of the variance of the directions of the rows shown, what each axis holds.
    """

    table: pd.DataFrame
    shares: tuple[float, float]


def item_map(fitted: Fitted, n: int = 500) -> Map:
    """Lay out the n most rated items by their mix of factors, each with the leading one of its own genres."""
    names = item_names(fitted, np.arange(len(fitted.item_ids)))
    own = genre_members(fitted).to_numpy(dtype=bool)
    return _laid_out(normalize(fitted).H, fitted.ratings.item_counts, names, n, genre_lifts(fitted), own)


def user_map(fitted: Fitted, n: int = 1000) -> Map:
    """Lay out the n most active users by their mix of factors, each with the genre that the mix leans to."""
    names = [str(user) for user in fitted.user_ids]
    return _laid_out(normalize(fitted).W, fitted.ratings.user_counts, names, n, genre_lifts(fitted), None)


def _laid_out(
    mix: Matrix, counts: NDArray[np.integer], names: list[str], n: int, genres: pd.DataFrame,
    own: NDArray[np.bool_] | None,
) -> Map:  # fmt: skip
    """Place and group the rows with the most ratings, of those with any factor at all."""
    alive = np.flatnonzero((counts > 0) & (mix.sum(axis=1) > 0))
    shown = alive[np.argsort(-counts[alive], kind="stable")[:n]]
    if not len(shown):
        return Map(pd.DataFrame(columns=["x", "y", "name", "ratings", "group"]), (0.0, 0.0))
    points, shares = principal_plane(directions(mix[shown]))
    table = pd.DataFrame({"x": points[:, 0], "y": points[:, 1], "name": [names[row] for row in shown]})
    table["ratings"] = counts[shown]
    table["group"] = leading_groups(mix[shown], genres, None if own is None else own[shown])
    return Map(table, shares)


def principal_plane(rows: Matrix) -> tuple[Matrix, tuple[float, float]]:
    """Project rows onto their two principal directions, and tell what share of their variance each holds.

    Parameters
    ----------
    rows : ndarray, shape (n, k)

    Returns
    -------
    points : ndarray, shape (n, 2)
        About their mean; signs are such that the largest entry of each direction is positive.
    shares : (float, float)
    """
    centred = rows - rows.mean(axis=0)
    values, vectors = np.linalg.eigh(centred.T @ centred)  # ascending, (k,) and (k, k)
    axes = np.zeros((rows.shape[1], 2))
    axes[:, : min(2, rows.shape[1])] = vectors[:, ::-1][:, :2]
    axes *= np.where(axes[np.abs(axes).argmax(axis=0), [0, 1]] < 0, -1, 1)
    held = np.append(np.maximum(values[::-1], 0), 0)[:2] / (np.maximum(values, 0).sum() or 1.0)
    return centred @ axes, (float(held[0]), float(held[1]))


def leading_groups(mix: Matrix, genres: pd.DataFrame, own: NDArray[np.bool_] | None = None) -> list[str]:
    """Name the genre that each row leans to most, compared with the mean of the rows; without genres, the factor.

    Parameters
    ----------
    mix : ndarray, shape (n, k)
        Factors of the rows, comparable between columns.
    genres : DataFrame
        Lift of each genre (rows) in each factor (columns); factors themselves are named if it has no rows.
    own : ndarray of bool, shape (n, n_genres), optional
        The genres that are open to each row; one without any is named "no genre".
    """
    shares = mix / np.maximum(mix.sum(axis=1, keepdims=True), 1e-300)
    leaning = shares @ genres.to_numpy().T if len(genres) else shares  # mean lift of each genre in the row's factors
    relative = leaning / np.maximum(leaning.mean(axis=0), 1e-300)
    labels = [str(genre) for genre in genres.index] or [f"factor {f}" for f in range(mix.shape[1])]
    if own is not None and len(genres):
        relative = np.where(own, relative, -1.0)
    best = relative.argmax(axis=1)
    return [labels[place] if row[place] >= 0 else "no genre" for row, place in zip(relative, best, strict=True)]
