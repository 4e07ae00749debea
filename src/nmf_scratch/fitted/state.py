"""What a fit leaves: `Fitted`, which is replaced as a whole and never changed, and predictions from it.

Every question to a model is a function of it, question(fitted, …), in this folder; `NMF` has a method for each.

A row that was not seen in training has no factors. With the policy "bias" it is answered for by the *average row*: the
mean of all trained rows of its side. Since r̂ is linear in each row, that is exactly the mean of the predictions over
all known users (or items); the known side keeps its own factors and bias.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from nmf_scratch._check import InputError, check_number
from nmf_scratch._html import summary
from nmf_scratch.data.inputs import UNKNOWN, PairEncoder, columns_of
from nmf_scratch.data.ratings import Compressed, Ratings, ones, take_rows
from nmf_scratch.problem.factors import Factors
from nmf_scratch.problem.objective import Objective
from nmf_scratch.problem.preference import Preference

UNKNOWN_POLICIES = ("bias", "mean", "raise")

OBJECT = np.dtype(object)
Answer = TypeVar("Answer")


@dataclass(frozen=True, eq=False)
class FoldedUser:
    """Someone the model was not trained on, as far as it can tell from a few ratings.

    Attributes
    ----------
    factors : ndarray, shape (k,)
        Latent factors, in √(unit of the ratings).
    bias : float
        In the unit of the ratings; 0 in a model without biases.
    items : ndarray
        Raw ids of the rated items that the model knows.
    ratings : ndarray of float, shape (n_known,)
        Their ratings.
    unknown_items : ndarray
        Raw ids of the rated items that it does not know, and that tell it nothing.
    row : ndarray, shape (K,)
        Factors with their bias columns.
    codes : ndarray of int, shape (n_known,)
        Rows of the known items, ascending.
    origin : int
        Fingerprint of the state of the model that they were folded into; no other understands the row.
    """

    factors: NDArray[Any]
    bias: float
    items: NDArray[Any]
    ratings: NDArray[Any]
    unknown_items: NDArray[Any]
    row: NDArray[Any] = field(repr=False)
    codes: NDArray[Any] = field(repr=False)
    origin: int = field(repr=False)

    def _repr_html_(self) -> str:
        unknown = f", and {len(self.unknown_items)} that the model does not know" if len(self.unknown_items) else ""
        order = np.argsort(-self.factors, kind="stable")
        strongest = ", ".join(f"factor {f} ({self.factors[f]:.2f})" for f in order[:3])
        sentence = (
            f"A new user with {len(self.items)} ratings{unknown}. Bias {self.bias:.2f}; strongest in {strongest}."
        )
        return summary(sentence, ["item", "rating"], list(zip(self.items, self.ratings.tolist(), strict=True)))

    @property
    def known(self) -> bool:
        """Whether any rating was of use; if not, the row is an average user's."""
        return len(self.codes) > 0


@dataclass(frozen=True, eq=False)
class ResolvedUsers:
    """Users that somebody asks about, each looked up once.

    Attributes
    ----------
    codes : ndarray of int, shape (n,)
        Row of each trained user; −1 for the others.
    folded : dict of int to FoldedUser
        Those who were folded in, by their position.
    """

    codes: NDArray[Any]
    folded: dict[int, FoldedUser]

    @property
    def known(self) -> NDArray[np.bool_]:
        """Whether there is anything to tell each by, shape (n,)."""
        known: NDArray[np.bool_] = self.codes != UNKNOWN
        known[list(self.folded)] = True
        return known

    def rows(self, W: NDArray[Any]) -> NDArray[Any]:
        """Return their rows, shape (n, K), from those of the trained users; of unknown ones the last of these."""
        rows: NDArray[Any] = W[self.codes]
        for place, user in self.folded.items():
            rows[place] = user.row
        return rows

    def seen(self, view: Compressed) -> tuple[Compressed, NDArray[Any]]:
        """Return what each has rated, from the ratings of the trained users: rows of ratings, and whose is which (n,).

        Only the rows that are asked for are gathered: there may be millions of others. −1 stands for no row.
        """
        if not self.folded:
            return view, self.codes
        own = take_rows(view, self.codes[self.codes != UNKNOWN])
        added = [user.codes for user in self.folded.values()]
        indptr = np.concatenate([own.indptr, own.indptr[-1] + np.cumsum([len(codes) for codes in added])])
        indices = np.concatenate([own.indices, *added])
        rows = np.full(len(self.codes), UNKNOWN)
        rows[self.codes != UNKNOWN] = np.arange(len(own.indptr) - 1)
        rows[list(self.folded)] = len(own.indptr) - 1 + np.arange(len(added))
        return Compressed(indptr, indices, np.ones(len(indices), np.float32), ones()), rows


@dataclass(frozen=True, eq=False)
class Fitted:
    """What a fit leaves, behind the caller's ids.

    Attributes
    ----------
    ids : PairEncoder
        Raw ids to rows.
    ratings : Ratings
        What it learnt from.
    factors : Factors
        In the unit of the ratings.
    objective : Objective
        The problem that was solved, for terms divided by `unit`.
    preference : Preference
        Which value and which weight a rating has in it.
    mean_rating : float
        Of the training ratings, by weight.
    rating_scale : (float, float)
        What predictions of ratings are clipped to.
    items : DataFrame or None
        Titles, years, genres, one row per item.
    unknown : {"bias", "mean", "raise"}
        The policy for ids that were not seen in training.
    """

    ids: PairEncoder
    ratings: Ratings
    factors: Factors
    objective: Objective
    preference: Preference
    mean_rating: float
    rating_scale: tuple[float, float]
    items: pd.DataFrame | None
    unknown: str
    _answers: dict[Hashable, Any] = field(default_factory=dict, init=False, repr=False)

    @property
    def unit(self) -> float:
        """What a scaled rating of 1 is worth: terms were divided by it before they were fitted."""
        if self.preference.is_plain:
            return self.mean_rating or 1.0
        return float(self.preference.target or self.terms.unit)

    @property
    def terms(self) -> Ratings:
        """The ratings as the model learnt from them: with targets for values, and weights by confidence."""
        return self.once(_terms)

    @property
    def predicts_ratings(self) -> bool:
        """Whether a score is a rating to be expected; else it says how likely a choice is."""
        return not self.objective.unobserved_weight and self.preference.target is None

    @property
    def W(self) -> NDArray[Any]:
        """User factors, shape (n_users, k)."""
        return self.factors.W[:, : self.factors.n_components]

    @property
    def H(self) -> NDArray[Any]:
        """Item factors, shape (n_items, k)."""
        return self.factors.H[:, : self.factors.n_components]

    @property
    def user_bias(self) -> NDArray[Any]:
        """Non-negative user biases, shape (n_users,); zeros in a model without."""
        return self.factors.W[:, self.factors.n_components] if self.factors.biases else np.zeros(len(self.factors.W))

    @property
    def item_bias(self) -> NDArray[Any]:
        """Non-negative item biases, shape (n_items,); zeros in a model without."""
        return (
            self.factors.H[:, self.factors.n_components + 1] if self.factors.biases else np.zeros(len(self.factors.H))
        )

    @property
    def user_ids(self) -> NDArray[Any]:
        """Raw user ids, sorted, shape (n_users,)."""
        return self.ids.users.classes_

    @property
    def item_ids(self) -> NDArray[Any]:
        """Raw item ids, sorted, shape (n_items,)."""
        return self.ids.items.classes_

    @property
    def titles(self) -> pd.Series | None:
        """What the items are called, one per row; None where that is not known."""
        return self.items["title"] if self.items is not None and "title" in self.items else None

    def once(self, question: Callable[[Fitted], Answer]) -> Answer:
        """Return question(self), which is worked out when it is asked for the first time."""
        if question not in self._answers:
            self._answers[question] = question(self)
        return self._answers[question]  # type: ignore[no-any-return]

    def user_codes(self, users: Any) -> NDArray[Any]:
        """Return the row of each raw user id, shape (n,); −1 for one that was not seen in training."""
        return _known(self.ids.user_codes(users), self.ratings.user_counts)

    def item_codes(self, items: Any) -> NDArray[Any]:
        """Return the row of each raw item id, shape (n,); −1 for one that was not seen in training."""
        return _known(self.ids.item_codes(items), self.ratings.item_counts)

    def _check_origin(self, folded: NDArray[Any]) -> None:
        if any(user.origin != self.once(fingerprint) for user in folded):
            raise InputError(
                "a FoldedUser belongs to the model as it was when they were folded in, and this is another, or it has "
                "learnt since: fold them in again, model.fold_in(list(zip(user.items, user.ratings)))"
            )

    def resolve(self, users: Any) -> ResolvedUsers:
        """Look up raw ids and folded-in users; one who was folded in by ratings of no use is unknown."""
        given = as_column(users) if getattr(users, "dtype", OBJECT) == OBJECT else ()
        is_folded = np.array([isinstance(user, FoldedUser) for user in given], dtype=bool)
        if not is_folded.any():
            return ResolvedUsers(self.user_codes(users), {})
        self._check_origin(given[is_folded])
        codes = np.full(len(given), UNKNOWN)
        if not is_folded.all():
            codes[~is_folded] = self.user_codes(list(given[~is_folded]))
        return ResolvedUsers(codes, {int(u): given[u] for u in np.flatnonzero(is_folded) if given[u].known})


def fingerprint(fitted: Fitted) -> int:
    """Return a number that tells the items and factors of this state from those of any other."""
    shape = np.array(fitted.factors.H.shape).tobytes()
    return zlib.crc32(np.ascontiguousarray(fitted.factors.H).data, zlib.crc32(shape))


def predict(fitted: Fitted, X: Any) -> NDArray[np.float64]:
    """Predict the ratings of (user, item) pairs; see `NMF.predict`."""
    user_ids, item_ids = columns_of(X, fitted.ids.names)
    users, items = fitted.resolve(user_ids), fitted.item_codes(item_ids)
    unknown = ~users.known | (items == UNKNOWN)
    if fitted.unknown == "raise" and unknown.any():
        raise InputError(f"{unknown.sum()} pairs have an id that was not seen in training (unknown='raise')")
    factors = fitted.factors
    if unknown.any():  # a copy of all rows, not to be made for nothing
        factors = factors.with_average_rows(fitted.ratings)
    predictions = factors.predict(users.codes, items)
    if users.folded:
        places, rows = list(users.folded), np.array([user.row for user in users.folded.values()])
        theirs = Factors(rows, factors.H, factors.biases)
        predictions[places] = theirs.predict(np.arange(len(rows)), items[places])
    if fitted.unknown == "mean":
        predictions[unknown] = fitted.mean_rating if fitted.predicts_ratings else fitted.terms.mean
    return np.clip(predictions, *fitted.rating_scale) if fitted.predicts_ratings else predictions


def _terms(fitted: Fitted) -> Ratings:
    return fitted.preference.terms(fitted.ratings)


def item_names(fitted: Fitted, codes: NDArray[Any]) -> list[str]:
    """Name items by title, or by id where there is none."""
    ids = [str(item) for item in fitted.item_ids[codes]]
    if fitted.titles is None:
        return ids
    titles = fitted.titles.fillna("").astype(str).to_numpy()[codes]
    return [title or item for title, item in zip(titles, ids, strict=True)]


def scale_of(ratings: Ratings, wanted: Any) -> tuple[float, float]:
    """Return the range of the ratings where `wanted` is "infer", else that pair, which must hold them all."""
    inferred = (float(ratings.values.min()), float(ratings.values.max()))
    if isinstance(wanted, str) and wanted == "infer":
        return inferred
    if not isinstance(wanted, (tuple, list)) or len(wanted) != 2:
        raise InputError(f"rating_scale must be 'infer' or a pair (lowest, highest), got {wanted!r}")
    for bound in wanted:
        check_number("rating_scale", bound)
    if not wanted[0] <= inferred[0] <= inferred[1] <= wanted[1]:
        raise InputError(f"rating_scale={wanted!r} must hold all ratings, which span {inferred}")
    return float(wanted[0]), float(wanted[1])


def as_column(ids: Any) -> NDArray[Any]:
    """Return ids as an array in which mixed types keep their own."""
    column = np.empty(len(ids), dtype=object)
    column[:] = ids
    return column


def _known(codes: NDArray[Any], counts: NDArray[Any]) -> NDArray[Any]:
    """Treat a row that exists but has no rating like one that does not exist."""
    return np.where(np.append(counts, 0)[codes] > 0, codes, UNKNOWN)
