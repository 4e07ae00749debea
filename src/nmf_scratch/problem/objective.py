r"""The problem that every solver solves, in plain NumPy: value, gradient, optimality. The measure of all solvers.

With Ω the observed pairs, r̂_ui = w_u · h_i  (P.1)  and e_ui = r_ui − r̂_ui,

    f(W, H) = Σ_(u,i)∈Ω ℓ(r_ui | r̂_ui)  +  Σ_uf λ_uf (½ (1−ρ) (w_uf − m_f)² + ρ w_uf)  +  the same over H          (P.2)

    subject to W ≥ 0, H ≥ 0, with gradient

    ∂f/∂w_uf = − Σ_i∈Ω_u g_ui h_if  +  λ_uf ((1−ρ) (w_uf − m_f) + ρ),       g_ui = e_ui r̂_ui^(β−2).               (P.3)

The loss is the β-divergence (Févotte & Idier 2011), scaled so that β = 2 is ½ e²; β = 1 is Kullback–Leibler's and
β = 0 Itakura–Saito's:

    ℓ(r | r̂) = (r^β + (β−1) r̂^β − β r r̂^(β−1)) / (β (β−1)),   r log(r/r̂) − r + r̂ at 1,   r/r̂ − log(r/r̂) − 1 at 0.  (P.6)

The penalty is chosen per kind of column:

- latent: m_f = 0, ρ is `l1_ratio`, and the strength grows with the number of ratings of the row,

      λ_uf = alpha · n_u^ν,    ν = `weighting` from 0 ("plain") to 1 ("count").                                   (P.7)

  At ν = 1 each *rating* carries the same penalty (Zhou et al. 2008, "ALS-WR"), and a row with two ratings is held as
  loosely as one with a thousand; at ν = 0 each *row* does, and two ratings move little (the view of Bayes, for a normal
  prior). Between the two, one alpha serves data sets of different density (Rendle et al. 2022).
- free bias: m_f = `bias_level` and λ_uf = alpha_bias, ρ = 0: as if every user and item had `alpha_bias` more ratings
  at the common level. Few ratings leave a bias near that level, many move it freely. (With a strength by count, one
  rating would move it as far as a hundred, and an item with a single rating of 5 would lead everybody's list.)
- frozen: no penalty, no gradient.

Where ratings have weights, each term of a sum over Ω is multiplied by its own, and n_u is the sum of the weights: a
rating of weight 3 is worth the same rating three times.

Where cells that nobody rated count as well, with `unobserved_weight` ω_0, *every* cell pulls its prediction to zero,

    f(W, H) + ½ ω_0 Σ_u Σ_i r̂_ui²,                                                                              (CELL.1)

rated ones too, which pull to their rating besides (Hu, Koren & Volinsky 2008; in this form Rendle et al. 2022). The sum
over all cells needs no cell: with the Gram matrices WᵀW and HᵀH of K × K numbers,

    Σ_u Σ_i r̂_ui² = Σ_fj (WᵀW)_fj (HᵀH)_fj,       half its gradient W HᵀH for W, H WᵀW for H,                   (CELL.2)

the curvature (P.4) has ω_0 (HᵀH)_ff more, and a row's strength counts its cells, λ_uf = alpha (n_u + ω_0 n_items)^ν.

A point is stationary when no allowed step helps, i.e. when w = max(0, w − g/q) for gradient g and any q > 0. Taking
for q the curvature of the coordinate,

    q_uf = Σ_i∈Ω_u r̂_ui^(β−2) h_if² + λ_uf (1−ρ),                                                                 (P.4)

the step g/q has the unit of w, and the *KKT residual*

    max |w − max(0, w − g/q)| / rms(W)   over the free entries of both sides                                      (P.5)

has none: it says which fraction of a typical factor entry the worst coordinate still wants to move. Solvers are
compared by it, not by their own stopping rules. All sums are in float64, whatever the type of the factors.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nmf_scratch._check import InputError, check_choice, check_number
from nmf_scratch.data.ratings import Ratings
from nmf_scratch.problem.factors import BIAS_LEVEL, NO_COLUMN, Columns, Factors

if TYPE_CHECKING:
    from scipy.sparse import csr_array

WEIGHTINGS = {"count": 1.0, "plain": 0.0}

FLOOR = 1e-12
"""Least prediction that a divergence other than squared error is asked about, for ratings scaled to a mean of 1."""

PART_RATINGS = 2**21
"""Ratings taken at once: a few hundred megabytes however many there are."""

Matrix = NDArray[np.float64]


Strength = float | tuple[float, float] | str
"""Of a penalty: for both sides, for (users, items), or "auto"."""


class Penalty(NamedTuple):
    """The penalty of one side in arrays and numbers, in the dtype of the factors: what kernels take.

    Attributes
    ----------
    ridge, lasso : ndarray, shape (n_rows,)
        λ_u (1−ρ) and λ_u ρ, the squared and the absolute part of each row's penalty on its latent columns.
    bias_ridge, bias_level : float
        Strength and centre of the free bias column.
    counts : ndarray, shape (n_rows,)
        n_u, the number of ratings of each row, or the sum of their weights.
    """

    ridge: NDArray[Any]
    lasso: NDArray[Any]
    bias_ridge: Any
    bias_level: Any
    counts: NDArray[Any]


@dataclass(frozen=True)
class Objective:
    """Divergence over the observed ratings with ridge and lasso penalties: equation (P.2).

    Attributes
    ----------
    alpha : tuple of float
        Strength on the latent columns of W and of H.
    alpha_bias : tuple of float
        Strength on the free bias column of W and of H, in ratings.
    bias_level : float
        What biases are pulled to.
    l1_ratio : float
        ρ, the share of the latent penalty that is absolute: 0 is ridge, 1 is lasso.
    weighting : {"count", "plain"} or float
        ν, from 0 to 1: a row's latent penalty is multiplied by n_u^ν; "count" is 1, "plain" is 0.
    loss : float
        β of the β-divergence, from 0 to 2: 2 is squared error.
    unobserved_weight : float
        ω_0, the weight with which every cell, rated or not, pulls its prediction to zero; for squared error only.
    """

    alpha: tuple[float, float] = (0.0, 0.0)
    alpha_bias: tuple[float, float] = (0.0, 0.0)
    bias_level: float = 0.0
    l1_ratio: float = 0.0
    weighting: str | float = "count"
    loss: float = 2.0
    unobserved_weight: float = 0.0

    def __post_init__(self) -> None:
        for name in ("alpha", "alpha_bias"):
            for strength in getattr(self, name):
                check_number(name, strength, minimum=0.0)
        check_number("bias_level", self.bias_level, minimum=0.0)
        check_number("l1_ratio", self.l1_ratio, minimum=0.0, maximum=1.0)
        exponent(self.weighting)
        check_number("loss", self.loss, minimum=0.0, maximum=2.0)
        check_number("unobserved_weight", self.unobserved_weight, minimum=0.0)
        if self.unobserved_weight and self.loss != 2:
            raise InputError(f"unobserved_weight={self.unobserved_weight} needs squared error, loss=2; got {self.loss}")

    @classmethod
    def of(cls, parameters: Any, alpha: Strength, alpha_bias: Strength) -> Objective:
        """Return the problem that an estimator's parameters describe, for ratings scaled to a mean of 1.

        Parameters
        ----------
        parameters : object
            With attributes `l1_ratio`, `weighting`, `loss` and `unobserved_weight`.
        alpha, alpha_bias : float or (float, float)
            Its strengths, "auto" resolved: for both sides, or for (users, items).
        """
        sides = both_sides("alpha", alpha), both_sides("alpha_bias", alpha_bias)
        others = ("l1_ratio", "weighting", "loss", "unobserved_weight")
        return cls(*sides, BIAS_LEVEL, **{name: getattr(parameters, name) for name in others})

    def check_values(self, ratings: Ratings) -> None:
        """Refuse ratings that the divergence has no value for."""
        if self.loss == 0 and (ratings.values == 0).any():
            raise InputError(
                "loss=0 (Itakura-Saito) has no value at a rating of 0: use a loss above 0, or shift the scale"
            )

    def penalties(self, ratings: Ratings, factors: Factors) -> tuple[Penalty, Penalty]:
        """Return the penalty of W and of H, in the dtype of the factors."""
        dtype = factors.W.dtype
        of_users, of_items = ratings.row_weights
        return self.penalty(0, of_users, dtype, ratings.n_items), self.penalty(1, of_items, dtype, ratings.n_users)

    def penalty(self, side: int, counts: NDArray[Any], dtype: np.dtype[Any], n_cells: int) -> Penalty:
        """Return the penalty of some rows of one side (0: users, 1: items) with so many ratings each, of n_cells."""
        weights = counts.astype(np.float64) + self.unobserved_weight * n_cells
        strengths = self.alpha[side] * weights ** exponent(self.weighting)  # (P.7)
        ridge, lasso = (1 - self.l1_ratio) * strengths, self.l1_ratio * strengths
        numbers = dtype.type(self.alpha_bias[side]), dtype.type(self.bias_level)
        return Penalty(ridge.astype(dtype), lasso.astype(dtype), *numbers, counts.astype(dtype))

    def value(self, ratings: Ratings, factors: Factors) -> float:
        """Return f(W, H), equation (P.2)."""
        return self.value_and_squares(ratings, factors)[0]

    def value_and_squares(self, ratings: Ratings, factors: Factors) -> tuple[float, float]:
        """Return f(W, H), and the sum of the squared residuals, each by its weight."""
        total = squares = 0.0
        for part, values, predictions in _parts(ratings, factors):
            total += float(np.sum(part.weights() * divergence(values, predictions, self.loss)))
            squares += float(np.sum(part.weights() * (values - predictions) ** 2))
        for X, penalty, columns in self._by_side(ratings, factors):
            ridge, lasso, centre = _by_column(penalty, columns, X.shape)
            total += float(np.sum(0.5 * ridge * (X - centre) ** 2 + lasso * X))
        if self.unobserved_weight:
            of_users, of_items = (X.T @ X for X in _sides(factors))
            total += 0.5 * self.unobserved_weight * float(np.sum(of_users * of_items))  # (CELL.1)
        return total, squares  # (P.2)

    def gradient(self, ratings: Ratings, factors: Factors) -> tuple[Matrix, Matrix]:
        """Return ∂f/∂W and ∂f/∂H, equation (P.3), shapes of W and H; zero in frozen columns."""
        fits = self._sums(ratings, factors)[0]
        gradients = []
        for fit, (X, penalty, columns) in zip(fits, self._by_side(ratings, factors), strict=True):
            ridge, lasso, centre = _by_column(penalty, columns, X.shape)
            gradients.append(_free(ridge * (X - centre) + lasso - fit, columns))  # (P.3)
        return gradients[0], gradients[1]

    def kkt_residual(self, ratings: Ratings, factors: Factors) -> float:
        """Return the scale-free distance from stationarity, equation (P.5); 0 at a stationary point."""
        fits, squares = self._sums(ratings, factors)
        worst = 0.0
        for fit, square, (X, penalty, columns) in zip(fits, squares, self._by_side(ratings, factors), strict=True):
            ridge, lasso, centre = _by_column(penalty, columns, X.shape)
            gradient = _free(ridge * (X - centre) + lasso - fit, columns)  # (P.3)
            curvature = square + ridge  # (P.4)
            # Without curvature (no ratings, or a dead factor) only a lasso has a say: it sends the entry to zero.
            step = np.divide(gradient, curvature, out=np.where(gradient > 0, X, 0.0), where=curvature > 0)
            moved = _free(np.abs(X - np.maximum(0.0, X - step)), columns)
            n_free = X.shape[1] - (columns.frozen != NO_COLUMN)
            scale = np.sqrt(np.sum(_free(X, columns) ** 2) / (len(X) * n_free)) or 1.0
            worst = max(worst, float(moved.max()) / scale)  # (P.5)
        return worst

    def _sums(self, ratings: Ratings, factors: Factors) -> tuple[tuple[Matrix, Matrix], tuple[Matrix, Matrix]]:
        """Return the sums over ratings in (P.3) for W and H, and those in (P.4)."""
        W, H = _sides(factors)
        fits, squares = (np.zeros_like(W), np.zeros_like(H)), (np.zeros_like(W), np.zeros_like(H))
        for part, values, predictions in _parts(ratings, factors):
            weights, W_part = part.weights() * _weights(predictions, self.loss), W[part.rows]
            errors = part.matrix((values - predictions) * weights)
            observed = part.matrix(weights)
            fits[0][part.rows] = errors @ H
            squares[0][part.rows] = observed @ (H * H)
            fits[1][:] += errors.T @ W_part
            squares[1][:] += observed.T @ (W_part * W_part)
        if self.unobserved_weight:
            for fit, square, X, other in ((fits[0], squares[0], W, H), (fits[1], squares[1], H, W)):
                gram = self.unobserved_weight * (other.T @ other)
                fit -= X @ gram  # (CELL.2)
                square += np.diag(gram)
        return fits, squares

    def _by_side(self, ratings: Ratings, factors: Factors) -> list[tuple[Matrix, Penalty, Columns]]:
        return list(zip(_sides(factors), self.penalties(ratings, factors), factors.columns, strict=True))


class _Part(NamedTuple):
    """A run of users and their ratings: what is looked at in one go, so that memory stays bounded."""

    rows: slice
    places: slice
    ratings: Ratings

    def weights(self) -> Any:
        """Return the weight of each rating, or 1."""
        weights = self.ratings.weights
        return 1.0 if weights is None else weights[self.places].astype(np.float64)

    def matrix(self, numbers: Matrix) -> csr_array:
        """Return numbers, one for each rating, as a sparse matrix, shape (users of the part, n_items)."""
        from scipy.sparse import csr_array

        view = self.ratings.by_user
        starts = view.indptr[self.rows.start : self.rows.stop + 1] - self.places.start
        shape = (self.rows.stop - self.rows.start, self.ratings.n_items)
        return csr_array((numbers, view.indices[self.places], starts), shape=shape)


def _parts(ratings: Ratings, factors: Factors) -> Iterator[tuple[_Part, Matrix, Matrix]]:
    """Yield runs of users with about `PART_RATINGS` ratings, with ratings and predictions in float64."""
    starts, first = ratings.by_user.indptr, 0
    while first < ratings.n_users:
        last = max(first + 1, int(np.searchsorted(starts, starts[first] + PART_RATINGS, side="right")) - 1)
        part = _Part(slice(first, last), slice(int(starts[first]), int(starts[last])), ratings)
        rows = Factors(factors.W[part.rows], factors.H, factors.biases)
        predictions = rows.predict(ratings.users[part.places] - first, ratings.items[part.places])
        yield part, ratings.values[part.places].astype(np.float64), predictions
        first = last


def exponent(weighting: str | float) -> float:
    """Return ν of (P.7), from its name or as it is."""
    if isinstance(weighting, str):
        check_choice("weighting", weighting, WEIGHTINGS)
        return WEIGHTINGS[weighting]
    check_number("weighting", weighting, minimum=0.0, maximum=1.0)
    return float(weighting)


def divergence(ratings: Matrix, predictions: Matrix, beta: float) -> Matrix:
    """Return the β-divergence of each pair, equation (P.6), shape (n_ratings,)."""
    if beta == 2:
        return 0.5 * (ratings - predictions) ** 2  # (P.6)
    p = np.maximum(predictions, FLOOR)
    if beta == 1:
        from scipy.special import rel_entr

        return rel_entr(ratings, p) - ratings + p  # 0 log 0 = 0
    if beta == 0:
        return ratings / p - np.log(ratings / p) - 1
    powers: Matrix = ratings**beta + (beta - 1) * p**beta - beta * ratings * p ** (beta - 1)
    return powers / (beta * (beta - 1))


def _weights(predictions: Matrix, beta: float) -> Matrix:
    """Return r̂^(β−2), by which a divergence weighs a residual; ones for squared error."""
    weights: Matrix = np.maximum(predictions, FLOOR) ** (beta - 2)
    return weights


def _sides(factors: Factors) -> tuple[Matrix, Matrix]:
    return factors.W.astype(np.float64), factors.H.astype(np.float64)


def _by_column(penalty: Penalty, columns: Columns, shape: tuple[int, ...]) -> tuple[Matrix, Matrix, Matrix]:
    """Spell a penalty out: λ_uf (1−ρ), λ_uf ρ and m_f for every entry, each of the given shape."""
    ridge, lasso, centre = np.zeros(shape), np.zeros(shape), np.zeros(shape)
    ridge[:, : columns.n_latent] = penalty.ridge[:, None]
    lasso[:, : columns.n_latent] = penalty.lasso[:, None]
    if columns.free_bias != NO_COLUMN:
        ridge[:, columns.free_bias] = penalty.bias_ridge
        centre[:, columns.free_bias] = penalty.bias_level
    return ridge, lasso, centre


def _free(matrix: Matrix, columns: Columns) -> Matrix:
    """Set the frozen column to zero."""
    if columns.frozen != NO_COLUMN:
        matrix[:, columns.frozen] = 0.0
    return matrix


def both_sides(name: str, strength: Any) -> tuple[float, float]:
    """Read one strength for both sides, or a pair (users, items)."""
    pair = strength if isinstance(strength, (tuple, list)) else (strength, strength)
    if len(pair) != 2:
        raise InputError(f"{name} must be a number, a pair (users, items) or 'auto', got {strength!r}")
    for value in pair:
        check_number(name, value, minimum=0.0)
    return float(pair[0]), float(pair[1])
