"""Short lists in the caller's own ids: `recommend`, `similar_items`, `similar_users`.

What is computed is in `nmf_scratch.fitted.top_n` and `nmf_scratch.fitted.similarity`; here ids become codes, wishes
(seen, candidates, blocked) become masks, and codes become tables with titles.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from nmf_scratch._check import InputError, check_number
from nmf_scratch.data.inputs import UNKNOWN
from nmf_scratch.data.ratings import Compressed, Ratings, ones
from nmf_scratch.fitted.fold_in import FoldedUser
from nmf_scratch.fitted.similarity import POOL, POOL_AT_LEAST, diversified, most_similar
from nmf_scratch.fitted.state import FittedModel, as_column
from nmf_scratch.fitted.top_n import NONE, top_n


class ListingModel(FittedModel):
    """The side of `NMF` that lists items and users."""

    def recommend(
        self,
        user: Any,
        n: int = 10,
        *,
        exclude_seen: bool = True,
        candidates: Any = None,
        blocked: Any = None,
        min_ratings: int = 0,
        diversity: float = 0.0,
    ) -> pd.DataFrame:
        """Recommend the n items with the highest scores.

        Parameters
        ----------
        user : id, FoldedUser, or list-like of them
            Raw user ids. A user not seen in training gets the most rated items (or an error with
            ``unknown="raise"``).
        n : int
            Length of each list; fewer where the items run out.
        exclude_seen : bool
            Whether to leave out what the user has rated.
        candidates, blocked : sequence of ids, optional
            The only items that may be listed, and items that may not. Those that the model does not know have no
            score, and are passed over.
        min_ratings : int
            Leave out items with fewer training ratings than this: little is known of them.
        diversity : float
            From 0, the best scores, to 1, the least alike: how much an item loses by its likeness to those listed
            before it, see `nmf_scratch.fitted.similarity`. The list of a stranger stays as it is.

        Returns
        -------
        DataFrame
            Columns item; title, where known; score, which orders the list: the prediction as it is, perhaps beyond the
            scale; stars, the same clipped to the rating scale, as `predict` has it; n_ratings, how many training
            ratings the item has. A first column user for a list of users. Best first; ties by item id.

        Raises
        ------
        InputError
            If n or min_ratings is no such number, diversity is not between 0 and 1, candidates or blocked is no list,
            or a user is unknown and the policy is "raise".
        """
        self._check_fitted()
        check_number("n", n, minimum=1, integer=True)
        check_number("min_ratings", min_ratings, minimum=0, integer=True)
        check_number("diversity", diversity, minimum=0.0, maximum=1.0)
        allowed = self._allowed(candidates, blocked) & (self._ratings.item_counts >= min_ratings)
        if not pd.api.types.is_list_like(user):
            return self._recommend([user], n, exclude_seen, allowed, diversity).drop(columns="user")
        return self._recommend(list(user), n, exclude_seen, allowed, diversity)

    def _recommend(
        self, users: list[Any], n: int, exclude_seen: bool, allowed: NDArray[np.bool_], diversity: float
    ) -> pd.DataFrame:
        codes, folded = self._codes_of(users)
        if self.unknown == "raise" and (codes == UNKNOWN).any():
            raise InputError(f"user {users[int(np.argmin(codes))]!r} was not seen in training (unknown='raise')")
        audience = self._audience(codes, folded, exclude_seen)
        pool = n if diversity == 0 else max(POOL * n, POOL_AT_LEAST)
        items, scores = top_n(
            audience[0], self._factors.H, pool, seen=audience[1], rows=audience[2], allowed=allowed,
            n_threads=self.n_threads,
        )  # fmt: skip
        if diversity > 0:
            items, scores = self._diversified(items, scores, n, diversity)
        if (strangers := codes == UNKNOWN).any():
            popular = most_rated(self._ratings)
            popular = popular[allowed[popular]][:n]
            average = self._factors.with_average_rows(self._ratings).W[UNKNOWN]
            items[strangers], scores[strangers] = popular, self._factors.H[popular] @ average
        listed = items != NONE
        table = self._table(items[listed], "score", scores[listed])
        table.insert(len(table.columns) - 1, "stars", table["score"].clip(*self.rating_scale_))
        table.insert(0, "user", np.repeat(as_column(users), listed.sum(axis=1)))
        return table

    def similar_items(self, item: Any, n: int = 10) -> pd.DataFrame:
        """List the items that are most like one: the cosine of their latent factors, shrunk where ratings are few.

        Parameters
        ----------
        item : id
            Raw item id.
        n : int
            Length of the list; fewer where the items run out. The item itself is not listed.

        Returns
        -------
        DataFrame
            Columns item; title, where known; similarity (0 … 1), see `nmf_scratch.fitted.similarity`; n_ratings, how
            many training ratings the item has.

        Raises
        ------
        InputError
            If the item was not seen in training: nothing is known that could be compared.
        """
        self._check_fitted()
        check_number("n", n, minimum=1, integer=True)
        code = self.item_codes([item])[0]
        if code == UNKNOWN:
            raise InputError(f"item {item!r} was not seen in training: there is nothing to compare it by")
        allowed = self._ratings.item_counts > 0
        allowed[code] = False
        codes, similarities = most_similar(self.H_[code], self.H_, n, self._ratings.item_counts, allowed=allowed)
        return self._table(codes, "similarity", similarities)

    def similar_users(self, user: Any, n: int = 10) -> pd.DataFrame:
        """List the users most like somebody: the cosine of their latent factors, shrunk where ratings are few.

        Parameters
        ----------
        user : id or FoldedUser
        n : int
            Length of the list; fewer where the users run out. A user is not listed as like themselves.

        Returns
        -------
        DataFrame
            Columns user, similarity (0 … 1), n_ratings.

        Raises
        ------
        InputError
            If nothing is known of the user.
        """
        self._check_fitted()
        check_number("n", n, minimum=1, integer=True)
        codes, folded = self._codes_of([user])
        if codes[0] == UNKNOWN:
            raise InputError(f"user {user!r} was not seen in training: pass what they rated to fold_in first")
        allowed = self._ratings.user_counts > 0
        if not folded:
            allowed[codes[0]] = False
        row = folded[0].factors if folded else self.W_[codes[0]]
        counts = self._ratings.user_counts
        found, similarities = most_similar(row, self.W_, n, counts, allowed=allowed)
        return pd.DataFrame(
            {"user": self.user_ids_[found], "similarity": similarities.astype(np.float64), "n_ratings": counts[found]}
        )

    def _allowed(self, candidates: Any, blocked: Any) -> NDArray[np.bool_]:
        """Return which items may be listed; one without ratings has no factors of its own and never may."""
        allowed = self._ratings.item_counts > 0
        if candidates is not None:
            chosen = np.append(np.zeros_like(allowed), False)
            chosen[self._listed_codes("candidates", candidates)] = True  # an unknown one is the entry appended
            allowed &= chosen[:-1]
        if blocked is not None:
            allowed = np.append(allowed, False)
            allowed[self._listed_codes("blocked", blocked)] = False
            allowed = allowed[:-1]
        return allowed

    def _listed_codes(self, name: str, items: Any) -> NDArray[Any]:
        if not pd.api.types.is_list_like(items):
            raise InputError(f"{name} must be a list of item ids, got {items!r}: wrap a single one, [{items!r}]")
        return self.item_codes(list(items)) if len(items) else np.zeros(0, dtype=np.int64)

    def _diversified(
        self, items: NDArray[Any], scores: NDArray[Any], n: int, diversity: float
    ) -> tuple[NDArray[Any], NDArray[Any]]:
        """Choose n of the candidates of each user."""
        chosen = np.full((len(items), min(n, items.shape[1])), NONE)
        values = np.full(chosen.shape, -np.inf, scores.dtype)
        for u in range(len(items)):
            picked = diversified(items[u], scores[u], self.H_, n, diversity)
            chosen[u, : len(picked)], values[u, : len(picked)] = items[u, picked], scores[u, picked]
        return chosen, values

    def _audience(
        self, codes: NDArray[Any], folded: list[FoldedUser], exclude_seen: bool
    ) -> tuple[NDArray[Any], Compressed, NDArray[Any]]:
        """Return each user's factors, the items not to list, and each user's row among those (−1: none)."""
        W, seen = self._factors.W, self._ratings.by_user
        if not folded:
            return W[codes], seen, codes if exclude_seen else np.full_like(codes, UNKNOWN)
        # Only the rows that are asked for are gathered: there may be millions of others.
        parts = [
            folded[code - len(W)].codes if code >= len(W) else seen.indices[seen.indptr[code] : seen.indptr[code + 1]]
            for code in codes
        ]
        rows = [folded[code - len(W)].row if code >= len(W) else W[code] for code in codes]
        indptr = np.concatenate([[0], np.cumsum([len(part) for part in parts])])
        indices = np.concatenate(parts)
        gathered = Compressed(indptr, indices, np.ones(len(indices), np.float32), ones())
        return (
            np.array(rows),
            gathered,
            np.where((codes == UNKNOWN) | (not exclude_seen), UNKNOWN, np.arange(len(codes))),
        )

    def _table(self, items: NDArray[Any], name: str, values: NDArray[Any]) -> pd.DataFrame:
        table = pd.DataFrame({"item": self.item_ids_[items]})
        if self.items_ is not None and "title" in self.items_:
            table["title"] = self.items_["title"].to_numpy()[items]
        return table.assign(**{name: values.astype(np.float64), "n_ratings": self._ratings.item_counts[items]})


def most_rated(ratings: Ratings, n: int | None = None) -> NDArray[np.intp]:
    """Return the codes of the n most rated items (default: all), most rated first; ties by code: for strangers."""
    return np.argsort(-ratings.item_counts, kind="stable")[:n]
