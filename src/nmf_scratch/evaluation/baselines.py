"""The bar that every solver must clear: predictions that know no taste.

    GlobalMean   r̂ = μ
    UserMean     r̂ = mean of the user's ratings
    ItemMean     r̂ = mean of the item's ratings
    BiasModel    r̂ = μ + b_u + c_i, both shrunk towards 0                                              (BL.1)

A factorisation that does not beat the bias model has learnt nothing about taste: half of the distance between the
global mean and a good recommender is covered by "some users are generous, some films are good". All of them are fitted
and asked in the caller's own ids, as `NMF` is, and an unknown id falls back to the part that is known.

For lists the bar is `Popularity`: everybody gets what most people rated. It is a high bar, because what is held out was
mostly chosen from what is popular; and a low one for a shop, because nobody needs to be told.

References: Koren, *Factor in the neighbors*, TKDD 4(1), 2010, section 2.1; Cremonesi, Koren & Turrin, *Performance of
recommender algorithms on top-N recommendation tasks*, RecSys 2010 (popularity).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from nmf_scratch._check import check_number
from nmf_scratch._estimator import Estimator
from nmf_scratch.data.inputs import PairEncoder, encode
from nmf_scratch.data.ratings import Ratings
from nmf_scratch.problem.initialisers import shrunk_means, shrunk_offsets

if TYPE_CHECKING:
    import pandas as pd


class _SameForAll:
    """Recommending for models that rank items alike for everybody; users only differ in what they have seen."""

    encoder_: PairEncoder
    ratings_: Ratings
    item_scores_: NDArray[np.float64]

    def recommend(self, users: Any, n: int = 10, *, exclude_seen: bool = True) -> pd.DataFrame:
        """Recommend the n items with the highest scores to each of several users.

        Parameters
        ----------
        users : list-like of ids
            Raw user ids; an unknown one has seen nothing.
        n : int
            Length of each list; fewer where the items run out.
        exclude_seen : bool
            Whether to leave out what the user has rated.

        Returns
        -------
        DataFrame
            Columns user, item and score (what items are ordered by, the same for all users); ties by item id.
        """
        import pandas as pd

        check_number("n", n, minimum=1, integer=True)
        order, view = np.argsort(-self.item_scores_, kind="stable"), self.ratings_.by_user
        lists = []
        for code in self.encoder_.users.transform(users):
            seen = view.indices[view.indptr[code] : view.indptr[code + 1]] if exclude_seen and code >= 0 else order[:0]
            best = order[: n + len(seen)]  # no more than these can be needed
            lists.append(best[~np.isin(best, seen)][:n])
        items = np.concatenate(lists)
        of_user = np.repeat(np.asarray(users), [len(best) for best in lists])
        table = {"user": of_user, "item": self.encoder_.items.classes_[items], "score": self.item_scores_[items]}
        return pd.DataFrame(table)


class Popularity(_SameForAll):
    """The most rated items for everybody; it recommends and predicts no ratings."""

    def fit(self, X: Any, y: Any = None) -> Self:
        """Count the ratings of each item."""
        self.encoder_, self.ratings_ = encode(X, y)
        self.item_scores_ = self.ratings_.item_counts.astype(np.float64)
        return self


class BiasModel(_SameForAll, Estimator):
    """Global mean plus shrunk user and item offsets, equation (BL.1).

    The offsets minimise Σ (r − μ − b_u − c_i)² + reg_user Σ b_u² + reg_item Σ c_i², by alternating between the two
    sides, each of which has a closed form.

    Parameters
    ----------
    reg_user, reg_item : float
        Shrinkage, in ratings: how many imagined ratings at the average each user and item gets.
    max_iter : int
        Alternations.
    """

    def __init__(self, reg_user: float = 10.0, reg_item: float = 5.0, max_iter: int = 20) -> None:
        self.reg_user = reg_user
        self.reg_item = reg_item
        self.max_iter = max_iter

    def fit(self, X: Any, y: Any = None) -> Self:
        """Learn the offsets from (user, item) pairs and their ratings."""
        check_number("reg_user", self.reg_user, minimum=0.0)
        check_number("reg_item", self.reg_item, minimum=0.0)
        self.encoder_, self.ratings_ = encode(X, y)
        ratings = self.ratings_
        self.mean_ = float(ratings.values.mean(dtype=np.float64))
        self.rating_scale_ = float(ratings.values.min()), float(ratings.values.max())
        self.user_offset_, self.item_offset_ = self._offsets(ratings, ratings.values - self.mean_)
        self.item_scores_ = self.mean_ + self.item_offset_  # a user's own offset changes no order
        return self

    def _offsets(self, ratings: Ratings, centred: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
        return shrunk_offsets(ratings, centred, self.reg_user, self.reg_item, self.max_iter)

    def predict(self, X: Any) -> NDArray[np.float64]:
        """Predict ratings of (user, item) pairs, clipped to the scale seen in training; an unknown id adds nothing."""
        users, items = self.encoder_.transform(X)
        # Code −1 (unknown) picks the appended zero.
        user_part, item_part = np.append(self.user_offset_, 0.0)[users], np.append(self.item_offset_, 0.0)[items]
        predictions: NDArray[np.float64] = np.clip(self.mean_ + user_part + item_part, *self.rating_scale_)  # (BL.1)
        return predictions


class UserMean(BiasModel):
    """Mean rating of the user; the global mean for an unknown one."""

    def __init__(self) -> None:
        super().__init__(reg_user=0.0, reg_item=0.0)

    def _offsets(self, ratings: Ratings, centred: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
        return shrunk_means(ratings.users, centred, ratings.n_users, 0.0), np.zeros(ratings.n_items)


class ItemMean(BiasModel):
    """Mean rating of the item; the global mean for an unknown one."""

    def __init__(self) -> None:
        super().__init__(reg_user=0.0, reg_item=0.0)

    def _offsets(self, ratings: Ratings, centred: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
        return np.zeros(ratings.n_users), shrunk_means(ratings.items, centred, ratings.n_items, 0.0)


class GlobalMean(BiasModel):
    """Mean of all ratings, whoever asks for whatever."""

    def __init__(self) -> None:
        super().__init__(reg_user=0.0, reg_item=0.0)

    def _offsets(self, ratings: Ratings, centred: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
        return np.zeros(ratings.n_users), np.zeros(ratings.n_items)


BASELINES = {"global mean": GlobalMean, "user mean": UserMean, "item mean": ItemMean, "bias model": BiasModel}
"""Every baseline that predicts ratings, by the name that tables show."""

RANKING_BASELINES = {"popularity": Popularity, "bias model": BiasModel}
"""What lists are compared with."""
