"""Short lists in the caller's own ids: `recommend`, `similar_items`, `similar_users`.

What is computed is in `nmf_scratch.fitted.top_n` and `nmf_scratch.fitted.similarity`; here ids become rows, wishes
(seen, candidates, blocked) become masks, and rows become tables with titles.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from nmf_scratch._check import InputError, check_number, shown
from nmf_scratch.data.inputs import UNKNOWN
from nmf_scratch.data.ratings import Ratings
from nmf_scratch.fitted.similarity import POOL, POOL_AT_LEAST, cosines, diversified, most_similar
from nmf_scratch.fitted.state import Fitted, ResolvedUsers, as_column
from nmf_scratch.fitted.top_n import NONE, top_n


def recommend(
    fitted: Fitted,
    user: Any,
    n: int = 10,
    *,
    exclude_seen: bool = True,
    candidates: Any = None,
    blocked: Any = None,
    min_ratings: int = 0,
    diversity: float = 0.0,
    n_threads: int | None = None,
) -> pd.DataFrame:
    """Recommend the n items with the highest scores; see `NMF.recommend`."""
    check_number("n", n, minimum=1, integer=True)
    check_number("min_ratings", min_ratings, minimum=0, integer=True)
    check_number("diversity", diversity, minimum=0.0, maximum=1.0)
    alone = not pd.api.types.is_list_like(user)
    _refuse_frame("user", user)
    asked = [user] if alone else list(user)
    users = fitted.resolve(asked)
    if fitted.unknown == "raise" and not users.known.all():
        unseen = shown(asked[int(np.argmin(users.known))])
        raise InputError(f"user {unseen} was not seen in training (unknown='raise')")
    allowed = _allowed(fitted, candidates, blocked) & (fitted.ratings.item_counts >= min_ratings)
    items, scores = _best(fitted, users, n, exclude_seen, allowed, diversity, n_threads)
    if not users.known.all():
        _fill_unknown(fitted, ~users.known, allowed, items, scores)
    listed = items != NONE
    table = _table(fitted, items[listed], "score", scores[listed])
    if fitted.predicts_ratings:
        table.insert(len(table.columns) - 1, "stars", table["score"].clip(*fitted.rating_scale))
    if not alone:
        table.insert(0, "user", np.repeat(as_column(asked), listed.sum(axis=1)))
    return table


def similar_items(fitted: Fitted, item: Any, n: int = 10, beside: Fitted | None = None) -> pd.DataFrame:
    """List the items that are most like one; see `NMF.similar_items`."""
    check_number("n", n, minimum=1, integer=True)
    code = fitted.item_codes([item])[0]
    if code == UNKNOWN:
        raise InputError(f"item {shown(item)} was not seen in training: there is nothing to compare it by")
    counts = fitted.ratings.item_counts
    allowed = counts > 0
    allowed[code] = False
    close = None if beside is None else _beside(beside.H, beside.item_codes([item]), beside.item_codes(fitted.item_ids))
    codes, similarities = most_similar(fitted.H[code], fitted.H, n, counts, allowed=allowed, beside=close)
    return _table(fitted, codes, "similarity", similarities)


def similar_users(fitted: Fitted, user: Any, n: int = 10, beside: Fitted | None = None) -> pd.DataFrame:
    """List the users most like somebody; see `NMF.similar_users`."""
    check_number("n", n, minimum=1, integer=True)
    users = fitted.resolve([user])
    if not users.known[0]:
        raise InputError(f"user {shown(user)} was not seen in training: pass what they rated to fold_in first")
    counts = fitted.ratings.user_counts
    allowed = counts > 0
    if not users.folded:
        allowed[users.codes[0]] = False
    row = users.rows(fitted.factors.W)[0, : fitted.factors.n_components]
    close = None
    if beside is not None and not users.folded:
        close = _beside(beside.W, beside.user_codes([user]), beside.user_codes(fitted.user_ids))
    found, similarities = most_similar(row, fitted.W, n, counts, allowed=allowed, beside=close)
    return pd.DataFrame(
        {"user": fitted.user_ids[found], "similarity": similarities.astype(np.float64), "n_ratings": counts[found]}
    )


def _beside(factors: NDArray[Any], one: NDArray[Any], others: NDArray[Any]) -> NDArray[Any]:
    """Return cosines by another model between one row and others, shape (n,), given its codes; 0 for unknown ones."""
    rows = np.append(factors, np.zeros_like(factors[:1]), axis=0)  # UNKNOWN is the row appended
    return cosines(rows[one[0]], rows[others])


def _allowed(fitted: Fitted, candidates: Any, blocked: Any) -> NDArray[np.bool_]:
    """Return which items may be listed; one without ratings has no factors of its own and never may."""
    allowed = fitted.ratings.item_counts > 0
    if candidates is not None:
        chosen = np.append(np.zeros_like(allowed), False)
        chosen[_listed_codes(fitted, "candidates", candidates)] = True  # an unknown one is the entry appended
        allowed &= chosen[:-1]
    if blocked is not None:
        allowed = np.append(allowed, False)
        allowed[_listed_codes(fitted, "blocked", blocked)] = False
        allowed = allowed[:-1]
    return allowed


def _listed_codes(fitted: Fitted, name: str, items: Any) -> NDArray[Any]:
    if not pd.api.types.is_list_like(items):
        raise InputError(f"{name} must be a list of item ids, got {shown(items)}: wrap a single one, [{shown(items)}]")
    _refuse_frame(name, items)
    chosen = list(items)
    return fitted.item_codes(chosen) if chosen else np.zeros(0, dtype=np.int64)


def _refuse_frame(name: str, ids: Any) -> None:
    """Refuse a table where a column is meant: its elements are the names of its columns."""
    if getattr(ids, "ndim", 1) > 1:
        raise InputError(f"{name} must be ids, got a table of shape {ids.shape}: pass one column, table['item']")


def _best(
    fitted: Fitted, users: ResolvedUsers, n: int, exclude_seen: bool, allowed: NDArray[np.bool_], diversity: float,
    n_threads: int | None,
) -> tuple[NDArray[Any], NDArray[Any]]:  # fmt: skip
    """Return the codes and scores of each user's list, shape (n_users, ≤ n)."""
    W, (seen, rows) = users.rows(fitted.factors.W), users.seen(fitted.ratings.by_user)
    rows = rows if exclude_seen else np.full_like(rows, UNKNOWN)
    pool = n if diversity == 0 else max(POOL * n, POOL_AT_LEAST)
    items, scores = top_n(W, fitted.factors.H, pool, seen=seen, rows=rows, allowed=allowed, n_threads=n_threads)
    if diversity == 0:
        return items, scores
    chosen = np.full((len(items), min(n, items.shape[1])), NONE)
    values = np.full(chosen.shape, -np.inf, scores.dtype)
    for u in range(len(items)):
        picked = diversified(items[u], scores[u], fitted.H, n, diversity)
        chosen[u, : len(picked)], values[u, : len(picked)] = items[u, picked], scores[u, picked]
    return chosen, values


def _fill_unknown(
    fitted: Fitted, unknown: NDArray[np.bool_], allowed: NDArray[np.bool_], items: NDArray[Any], scores: NDArray[Any]
) -> None:
    """List what is rated most for users of whom nothing is known, with the scores of an average user."""
    popular = most_rated(fitted.ratings)
    popular = popular[allowed[popular]][: items.shape[1]]
    average = fitted.factors.with_average_rows(fitted.ratings).W[UNKNOWN]
    items[unknown], scores[unknown] = popular, fitted.factors.H[popular] @ average


def _table(fitted: Fitted, items: NDArray[Any], name: str, values: NDArray[Any]) -> pd.DataFrame:
    table = pd.DataFrame({"item": fitted.item_ids[items]})
    if fitted.titles is not None:
        table["title"] = fitted.titles.to_numpy()[items]
    return table.assign(**{name: values.astype(np.float64), "n_ratings": fitted.ratings.item_counts[items]})


def most_rated(ratings: Ratings, n: int | None = None) -> NDArray[np.intp]:
    """Return the codes of the n most rated items (default: all), most rated first; ties by code."""
    return np.argsort(-ratings.item_counts, kind="stable")[:n]
