"""Who the users are, and what each group of them prefers.

A *lift* says how many times its usual share a genre has with a group: of the ratings of a user, the share that went to
the genre, averaged over the users of the group, and divided by the average over all users. Each user counts once,
however many ratings he or she has given. A small group's average is mostly chance, so it is shrunk,

    lift = (n · mean of the group + m · mean of all) / ((n + m) · mean of all),      m = `PRIOR` users,

as if each group had m average users more.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from scipy.sparse import csr_array

from nmf_scratch.data.activity import Coded
from nmf_scratch.data.dataset import Dataset

PRIOR = 10.0

AGES = {0: "under 18", 18: "18–24", 25: "25–34", 35: "35–44", 45: "45–49", 50: "50–55", 56: "56 and over"}
"""Age groups by their lower bounds: those of MovieLens 1M, whose users gave no other age."""

KINDS = ("age", "gender", "occupation")
"""Columns of the table of users that group them."""

WORDS: dict[str, dict[str, str]] = {
    "age": {},
    "gender": {"M": "men", "F": "women"},
    "occupation": {"none": "no occupation"},
}
"""What is written for the labels of a column, where they are not words."""


def age_groups(ages: pd.Series[Any]) -> pd.Series[Any]:
    """Return the age group of each user, as an ordered category; missing where no age is known."""
    years = pd.to_numeric(ages, errors="coerce")
    return pd.cut(years, [*AGES, np.inf], right=False, labels=list(AGES.values()))


def groups_of(dataset: Dataset, user_ids: Any) -> dict[str, pd.Series[Any]]:
    """Return the groups that the given users fall into, by what is known: ``age``, ``gender``, ``occupation``.

    Parameters
    ----------
    dataset : Dataset
        With a table of users, or without.
    user_ids : array
        Raw ids.

    Returns
    -------
    dict of str to Series
        A label for each user, missing where none is known; nothing where the data set says nothing.
    """
    if dataset.users is None:
        return {}
    known = dataset.users.drop_duplicates("user").set_index("user").reindex(user_ids).reset_index(drop=True)
    found = {name: known[name].replace(WORDS[name]) for name in KINDS if name in known}
    if "age" in found:
        found["age"] = age_groups(found["age"])
    return {name: groups for name, groups in found.items() if groups.notna().any()}


def group_table(groups: pd.Series[Any], ratings: Coded) -> pd.DataFrame:
    """Return ``group``, ``users``, ``ratings`` and ``mean`` rating of each group that has users.

    Ages stand in their order, other groups by their number of users.
    """
    sums = ratings.user_counts * ratings.user_means
    table = pd.DataFrame({"group": groups, "users": 1, "ratings": ratings.user_counts, "sum": sums})
    found = table.groupby("group", observed=True).sum().reset_index()
    found["mean"] = found.pop("sum") / found["ratings"]
    if not isinstance(groups.dtype, pd.CategoricalDtype):
        found = found.sort_values("users", ascending=False, kind="stable", ignore_index=True)
    return found


def preference_lifts(groups: pd.Series[Any], ratings: Coded, genres: pd.DataFrame) -> pd.DataFrame:
    """Return how many times its usual share each genre has with each group of users, shrunk.

    Parameters
    ----------
    groups : Series
        A label for each user.
    ratings : Coded
        What `nmf_scratch.data.activity.coded` returns.
    genres : DataFrame, shape (n_items, n_genres)
        What `nmf_scratch.data.genres.genres_of` returns.

    Returns
    -------
    DataFrame
        Genres in rows, the most rated first; groups in columns, in the order of `group_table`.
    """
    shape = len(ratings.user_ids), len(ratings.item_ids)
    rated = csr_array((np.ones(len(ratings.users), np.float32), (ratings.users, ratings.items)), shape=shape)
    member = genres.to_numpy(np.float32)
    shares = rated @ (member / np.maximum(member.sum(axis=1, keepdims=True), 1))  # a rating is shared out among genres
    shares = pd.DataFrame(shares / ratings.user_counts[:, None], columns=genres.columns)
    usual = shares.mean()
    table = group_table(groups, ratings)
    means = shares.groupby(groups, observed=True).mean().loc[table["group"]]
    sizes = table["users"].to_numpy(np.float64)[:, None]
    lifts = (sizes * (means / usual).to_numpy() + PRIOR) / (sizes + PRIOR)  # groups × genres
    most_rated = np.argsort(-(ratings.item_counts @ member), kind="stable")
    return pd.DataFrame(lifts, list(table["group"]), list(genres.columns)).T.iloc[most_rated]
