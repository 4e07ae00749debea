"""The section with examples: what the model recommends to three users, and why."""

from __future__ import annotations

from typing import Any

import numpy as np

from nmf_scratch.fitted.explanation import Explanation
from nmf_scratch.model import NMF
from nmf_scratch.report.markup import Column, Html, Section, element, joined, listed, paragraphs, table
from nmf_scratch.report.material import Material

LISTED, LIKED, NAMED = 5, 3, 2
"""Items recommended to each user; items named that they rated highest; ratings named behind a recommendation."""

LIST = (Column("item"), Column("score", "{:.2f}"), Column("largest shared factor"), Column("ratings behind that"))
PARTS = (Column("part"), Column("adds", "{:.2f}"), Column("about"), Column("ratings behind it"))


def section(material: Material) -> Section:
    """Recommend to users with many, some and few ratings, and explain."""
    model = material.lists or material.model
    users = chosen(model)
    best = model.recommend(users[0], n=1)
    said = ""
    if len(best):
        name, score = title_of(best.to_dict("records")[0]), best["score"].iloc[0]
        said = f"To user {users[0]}, who gave the most ratings, the model recommends {name} first (score {score:.2f})."
    what = (
        f"Examples are the users with the most ratings, with a middling number and with the fewest: {listed(users)}. "
        f"{_score(model)}; it is a sum of parts, and behind the part of a factor stand the user's own ratings."
    )
    content = joined(paragraphs(what, without_reasons(model)), *(example(model, user) for user in users))
    return Section("examples", "Recommendations and their reasons", said, content)


def _score(model: NMF) -> str:
    """Say what a score is."""
    if model.predicts_ratings_:
        return "A score is the predicted rating, not clipped to the scale"
    return "A score says how likely a choice is, by the model that puts lists in order"


def chosen(model: NMF) -> list[Any]:
    """Return the users with the most ratings, a middling number and the fewest; ties by id."""
    counts = model.fitted_.ratings.user_counts
    order = np.argsort(-counts, kind="stable")
    order = order[counts[order] > 0]
    return [model.user_ids_[code] for code in dict.fromkeys([order[0], order[len(order) // 2], order[-1]])]


def without_reasons(model: NMF) -> str:
    """Say why no ratings are named, where they cannot be."""
    return "" if model.loss == 2 else f"Which ratings stand behind a part is known for loss 2, not for {model.loss:g}."


def example(model: NMF, user: Any) -> Html:
    """Return what one user likes, what is recommended to them, and the first recommendation taken apart."""
    recommended = model.recommend(user, n=LISTED).to_dict("records")
    head = joined(element("h3", f"User {user}"), paragraphs(liked_by(model, user)))
    if not recommended:
        return joined(head, paragraphs("There is nothing left to recommend: this user has rated everything."))
    explained = [model.explain(user, row["item"]) for row in recommended]
    rows = (row_of(row, why) for row, why in zip(recommended, explained, strict=True))
    return joined(
        head,
        table(f"Recommended to user {user}", LIST, rows, sorted_by=("score", "descending")),
        taken_apart(title_of(recommended[0]), explained[0]),
    )


def liked_by(model: NMF, user: Any) -> str:
    """Say how many ratings a user gave, how high, and to what the highest."""
    code, view = model.fitted_.user_codes([user])[0], model.fitted_.ratings.by_user
    own = slice(view.indptr[code], view.indptr[code + 1])
    items, values = view.indices[own], view.values[own].astype(np.float64)
    best = items[np.argsort(-values, kind="stable")[:LIKED]]
    ratings = "one rating" if len(values) == 1 else f"{len(values):,} ratings, {values.mean():.2f} on average"
    return f"User {user} gave {ratings}, and rated highest: {listed(titles(model, best))}."


def titles(model: NMF, codes: Any) -> list[str]:
    """Return titles, or ids where there is none."""
    known = [None] * len(codes) if model.items_ is None or "title" not in model.items_ else model.items_["title"][codes]
    return [title_of({"item": item, "title": title}) for item, title in zip(model.item_ids_[codes], known, strict=True)]


def title_of(row: dict[Any, Any]) -> str:
    """Return the title in a row of a list, or the id."""
    title = row.get("title")
    return title if isinstance(title, str) and title else f"item {row['item']}"


def row_of(row: dict[Any, Any], why: Explanation) -> list[Any]:
    """Return the row of a recommended item, with the factor that adds most and the ratings behind it."""
    strongest = why.parts[why.parts["part"].str.startswith("factor ")].iloc[0]
    behind = why.because(int(strongest["part"].split()[1]), NAMED)
    factor = f"{strongest['part']} ({strongest['contribution']:.2f})"
    return [title_of(row), row["score"], factor, "; ".join(behind) or None]


def taken_apart(title: str, why: Explanation) -> Html:
    """Return the parts of a score as a table whose numbers add up to it."""
    rows = ((part, value, about or None, behind or None) for value, part, about, behind in why.lines())
    return table(f"Why {title} for user {why.user}: {why.score:.2f}", PARTS, rows)
