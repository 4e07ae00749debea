"""Numbers about the factors of a fitted model, for figures and reports: how strong, how sparse, how much they explain.

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

from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from nmf_scratch._check import check_number
from nmf_scratch.fitted.explanation import (
    CARRIED,
    TITLES,
    factor_summary,
    genre_lifts,
    genre_members,
    item_names,
    lifts,
    masses,
    normalize,
    prior_of,
)
from nmf_scratch.fitted.similarity import directions
from nmf_scratch.fitted.update import UpdatableModel

Matrix = NDArray[np.float64]


def trained_rows(model: UpdatableModel) -> tuple[Matrix, Matrix]:
    """Return the latent factors of the users and items that have ratings, shapes (≤ n_users, k) and (≤ n_items, k)."""
    model._check_fitted()
    ratings = model._ratings
    W, H = model.W_[ratings.user_counts > 0], model.H_[ratings.item_counts > 0]
    return W.astype(np.float64), H.astype(np.float64)


def factor_strengths(model: UpdatableModel) -> pd.DataFrame:
    """Tell how strong each part of the predictions is, and how much of the ratings it explains.

    Parameters
    ----------
    model : NMF
        A fitted model.

    Returns
    -------
    DataFrame
        One row per part: the factors, the strongest first, then the biases where there are any. Columns part ("factor
        3", "user bias", …), strength (root mean square over all pairs, in the unit of the ratings) and explained (share
        of the variance of the ratings trained on; they add up to R²), see the module.
    """
    W, H = trained_rows(model)
    frame = pd.DataFrame({"part": [f"factor {f}" for f in range(W.shape[1])]})
    frame["strength"] = np.linalg.norm(W, axis=0) * np.linalg.norm(H, axis=0) / np.sqrt(len(W) * len(H))
    if model.biases:
        rated = model._ratings.user_counts > 0, model._ratings.item_counts > 0
        levels = model.user_bias_[rated[0]], model.item_bias_[rated[1]]
        strength = [float(np.sqrt(np.mean(level.astype(np.float64) ** 2))) for level in levels]
        frame = pd.concat([frame, pd.DataFrame({"part": ["user bias", "item bias"], "strength": strength})])
    frame["explained"] = _explained(model)
    k = W.shape[1]
    order = [*np.argsort(-frame["strength"].to_numpy()[:k], kind="stable"), *range(k, len(frame))]
    return frame.iloc[order].reset_index(drop=True)


def _explained(model: UpdatableModel) -> Matrix:
    """Return the share of each column of the factors: latent, user bias, item bias."""
    from scipy.sparse import csr_array

    ratings = model._ratings
    r, predicted = ratings.values.astype(np.float64), model._factors.predict(ratings.users, ratings.items)
    W, H = model._factors.W.astype(np.float64), model._factors.H.astype(np.float64)

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


def singular_values(model: UpdatableModel) -> Matrix:
    """Return the singular values of W Hᵀ over √(n_users n_items), largest first, in the unit of the ratings: (k,)."""
    W, H = trained_rows(model)
    root_w, root_h = (np.asarray(np.linalg.qr(side, mode="r")) for side in (W, H))  # W Hᵀ has their singular values
    found: Matrix = np.linalg.svd(root_w @ root_h.T, compute_uv=False)
    values = np.zeros(W.shape[1])
    values[: len(found)] = found / np.sqrt(len(W) * len(H))
    return values


def leading_items(model: UpdatableModel, n: int = TITLES) -> pd.DataFrame:
    """Name the items that are most typical of each factor.

    Parameters
    ----------
    model : NMF
        A fitted model.
    n : int
        Items per factor; fewer where there are fewer.

    Returns
    -------
    DataFrame
        Columns factor, name (title, else id) and lift (how many times its share the item gets from the factor,
        shrunk: see `nmf_scratch.fitted.explanation`); by factor, the largest lift first.
    """
    check_number("n", n, minimum=1, integer=True)
    model._check_fitted()
    mass = masses(model)
    lift = lifts(mass, prior_of(model, mass))
    leading = np.argsort(-lift, axis=0, kind="stable")[:n].T  # (k, n)
    factor = np.repeat(np.arange(len(leading)), leading.shape[1])
    names = item_names(model, leading.ravel())
    return pd.DataFrame({"factor": factor, "name": names, "lift": lift[leading.ravel(), factor]})


def factor_usage(model: UpdatableModel) -> pd.DataFrame:
    """Tell how much each factor gives, and how many rows have nothing or little of it.

    Parameters
    ----------
    model : NMF
        A fitted model.

    Returns
    -------
    DataFrame
        One row per factor, the weightiest first: factor, share (of what all factors predict in training), users_zero
        and items_zero (share of rows whose entry is exactly 0), users_small and items_small (of rows with less than a
        tenth of the column's largest entry, but not 0). Rows without ratings do not count.
    """
    frame = factor_summary(model)[["factor", "share"]]
    for side, X in zip(("users", "items"), trained_rows(model), strict=True):
        zero = (X == 0)[:, frame["factor"]]
        little = (CARRIED * X.max(axis=0) > X)[:, frame["factor"]]
        frame[f"{side}_zero"], frame[f"{side}_small"] = zero.mean(axis=0), (little & ~zero).mean(axis=0)
    return frame


def nearest_factors(model: UpdatableModel) -> Matrix:
    """Return, for each factor, the largest cosine of its column of H with another's, shape (k,); 0 for a single one.

    It is what `nmf_scratch.fitted.explanation.stability` must be held against: a factor that comes back no more alike
    than its neighbour in the same model has not come back.
    """
    columns = directions(trained_rows(model)[1].T)
    cosines = columns @ columns.T
    np.fill_diagonal(cosines, 0.0)
    nearest: Matrix = cosines.max(axis=1)
    return nearest


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


def item_map(model: UpdatableModel, n: int = 500) -> Map:
    """Lay out the n most rated items by their mix of factors, each with the leading one of its own genres."""
    names = item_names(model, np.arange(len(model.item_ids_)))
    own = genre_members(model).to_numpy(dtype=bool)
    return _laid_out(normalize(model).H, model._ratings.item_counts, names, n, genre_lifts(model), own)


def user_map(model: UpdatableModel, n: int = 1000) -> Map:
    """Lay out the n most active users by their mix of factors, each with the genre that the mix leans to."""
    names = [str(user) for user in model.user_ids_]
    return _laid_out(normalize(model).W, model._ratings.user_counts, names, n, genre_lifts(model), None)


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
