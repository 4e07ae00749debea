"""The bar that every solver must clear: predictions without factors.

    GlobalMean   r̂ = μ
    UserMean     r̂ = mean of the user's ratings
    ItemMean     r̂ = mean of the item's ratings
    BiasModel    r̂ = μ + b_u + c_i, both shrunk towards 0                                              (BL.1)

A factorisation that does not beat the bias model has learnt nothing about who likes what: half of the way from the
global mean to a good recommender, on MovieLens 100K more than four fifths, is covered by "some users are generous,
some films are good". All of them are fitted and asked in the caller's own ids, as `NMF` is, and an unknown id falls
back to the part that is known.

For lists the first bar is `Popularity`: everybody gets what most people rated. It is a high bar, because what is held
out was mostly chosen from what is popular; and a low one for a shop, because nobody needs to be told. Then there are
two models of items alone, which score an item by the items j that the user chose, with confidences x_uj by their stars
(as `NMF(task="ranking")` has them, `nmf_scratch.problem.preference`) and G = XᵀX:

    ItemKNN   Σ_j x_uj G_ij / √(G_ii G_jj)    over the j among whose nearest neighbours i is                (BL.2)
    EASE      Σ_j x_uj B_ji,  B = argmin ‖X − XB‖² + l2 ‖B‖² with B_ii = 0,  B_ji = −P_ji / P_ii, P = (G + l2)⁻¹  (BL.3)

Both hold n_items² numbers, and cannot say why; EASE is the best linear model of lists there is, or nearly so.

References: Koren, *Factor in the neighbors*, TKDD 4(1), 2010, section 2.1; Cremonesi, Koren & Turrin, *Performance of
recommender algorithms on top-N recommendation tasks*, RecSys 2010 (popularity); Deshpande & Karypis, *Item-based top-N
recommendation algorithms*, ACM TOIS 22(1), 2004 (ItemKNN); Steck, *Embarrassingly shallow autoencoders for sparse
data*, WWW 2019 (EASE).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from nmf_scratch._check import check_number
from nmf_scratch._estimator import Estimator
from nmf_scratch.data.inputs import PairEncoder, encode
from nmf_scratch.data.ratings import Ratings
from nmf_scratch.problem.initialisers import shrunk_means, shrunk_offsets
from nmf_scratch.problem.preference import Preference

if TYPE_CHECKING:
    import pandas as pd


class _Lister:
    """Recommending for models that order all items for one user after the other."""

    encoder_: PairEncoder
    ratings_: Ratings

    def _ordered(self, users: NDArray[Any]) -> Iterator[tuple[NDArray[np.intp], NDArray[Any]]]:
        """Yield all items, best first, and the score of each item, for rows of users or −1."""
        raise NotImplementedError

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
            Columns user, item and score (what items are ordered by); ties by item id.
        """
        import pandas as pd

        check_number("n", n, minimum=1, integer=True)
        view, codes = self.ratings_.by_user, self.encoder_.users.transform(users)
        items, scores = [], []
        for code, (order, of_all) in zip(codes, self._ordered(codes), strict=True):
            seen = view.indices[view.indptr[code] : view.indptr[code + 1]] if exclude_seen and code >= 0 else order[:0]
            best = order[: n + len(seen)]  # no more than these can be needed
            items.append(best[~np.isin(best, seen)][:n])
            scores.append(of_all[items[-1]])
        of_user = np.repeat(np.asarray(users), [len(best) for best in items])
        item = self.encoder_.items.classes_[np.concatenate(items)]
        return pd.DataFrame({"user": of_user, "item": item, "score": np.concatenate(scores)})


class _SameForAll(_Lister):
    """Models that rank items alike for everybody; users only differ in what they have seen."""

    item_scores_: NDArray[np.float64]

    def _ordered(self, users: NDArray[Any]) -> Iterator[tuple[NDArray[np.intp], NDArray[Any]]]:
        return itertools.repeat((np.argsort(-self.item_scores_, kind="stable"), self.item_scores_), len(users))


class Popularity(_SameForAll):
    """The most rated items for everybody; it recommends and predicts no ratings."""

    def fit(self, X: Any, y: Any = None) -> Self:
        """Count the ratings of each item."""
        self.encoder_, self.ratings_ = encode(X, y)
        self.item_scores_ = self.ratings_.item_counts.astype(np.float64)
        return self


class _ItemToItem(_Lister):
    """Models that score an item by the items that the user chose; an unknown user gets what most people rated."""

    def fit(self, X: Any, y: Any = None) -> Self:
        """Learn from (user, item) pairs and their ratings, or from pairs alone."""
        self.encoder_, self.ratings_ = encode(X, y, choices=True)
        values = self.ratings_.values
        preference = Preference.of(1.0, "auto", self.ratings_, (float(values.min()), float(values.max())))
        self.confidences_ = self.ratings_.with_values(preference.confidence(values).astype(np.float64)).to_sparse()
        self.weights_ = self._weights((self.confidences_.T @ self.confidences_).toarray())
        return self

    def _ordered(self, users: NDArray[Any]) -> Iterator[tuple[NDArray[np.intp], NDArray[Any]]]:
        counts = self.ratings_.item_counts.astype(np.float64)
        for user in users:
            scores = counts if user < 0 else (self.confidences_[[user]] @ self.weights_).ravel()
            yield np.argsort(-scores, kind="stable"), scores

    def _weights(self, gram: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return what choosing item j adds to the score of item i, at [j, i]."""
        raise NotImplementedError


class ItemKNN(_ItemToItem):
    """Items like those that the user chose, by the cosine of who chose them, equation (BL.2).

    Parameters
    ----------
    n_neighbours : int
        Items that each item speaks for.
    """

    def __init__(self, n_neighbours: int = 400) -> None:
        self.n_neighbours = n_neighbours

    def _weights(self, gram: NDArray[np.float64]) -> NDArray[np.float64]:
        check_number("n_neighbours", self.n_neighbours, minimum=1, integer=True)
        lengths = np.sqrt(np.maximum(np.diag(gram), np.finfo(float).tiny))
        cosines: NDArray[np.float64] = gram / np.outer(lengths, lengths)  # (BL.2)
        np.fill_diagonal(cosines, 0.0)
        if self.n_neighbours < len(cosines):
            cosines[cosines < np.partition(cosines, -self.n_neighbours, axis=1)[:, [-self.n_neighbours]]] = 0.0
        return cosines


class EASE(_ItemToItem):
    """The linear model that best tells each choice from the user's other ones, in closed form: equation (BL.3).

    Parameters
    ----------
    l2 : float
        Strength of the ridge.
    """

    def __init__(self, l2: float = 300.0) -> None:
        self.l2 = l2

    def _weights(self, gram: NDArray[np.float64]) -> NDArray[np.float64]:
        check_number("l2", self.l2, minimum=0.0, exclusive=True)
        P = np.linalg.inv(gram + self.l2 * np.eye(len(gram)))
        C: NDArray[np.float64] = -P / np.diag(P)  # (BL.3)
        np.fill_diagonal(C, 0.0)
        return C


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
    """Mean of all ratings, for every user and item."""

    def __init__(self) -> None:
        super().__init__(reg_user=0.0, reg_item=0.0)

    def _offsets(self, ratings: Ratings, centred: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
        return np.zeros(ratings.n_users), np.zeros(ratings.n_items)


BASELINES = {"global mean": GlobalMean, "user mean": UserMean, "item mean": ItemMean, "bias model": BiasModel}
"""Every baseline that predicts ratings, by the name that tables show."""

RANKING_BASELINES = {"popularity": Popularity, "item-kNN": ItemKNN, "EASE": EASE}
"""What lists are compared with."""
