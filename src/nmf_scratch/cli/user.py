"""`nmf-scratch user USER`: who somebody is, what they rated highest, and the list for them beside it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nmf_scratch.cli._common import JsonOption, RunsOption, note, print_json, run_alone, stdout
from nmf_scratch.cli._ids import known_user, list_table, with_stars
from nmf_scratch.cli._runs import RUNS, USERS, ModelOption, load_trained

if TYPE_CHECKING:
    import pandas as pd

    from nmf_scratch.fitted.state import Fitted

GENRES = 5
"""How many genres a caption names."""


def user(
    user: Annotated[str, typer.Argument(help="The user's id, as in the ratings file.")],
    n: Annotated[int, typer.Option("-n", help="How many items of each kind.")] = 10,
    model: ModelOption = None,
    output: RunsOption = RUNS,
    as_json: JsonOption = False,
) -> None:
    """Show who a user is, what they rated highest, the genres of all they liked, and what is recommended to them."""
    trained = load_trained(model, output)
    who = known_user(user, trained.lists)
    rated = _rated(trained.lists.fitted_, who)
    liked = rated[rated["rating"] >= rated["rating"].mean()]
    listed = with_stars(trained.lists.recommend(who, n), who, trained)
    genres, mean = _genres(liked), float(rated["rating"].mean())
    about = _about(trained.path.with_name(USERS), user)
    if as_json:
        loved, theirs = (table.to_dict("records") for table in (rated.head(n), listed))
        print_json(
            {
                **trained.files,
                "user": user,
                "about": about,
                "n_ratings": len(rated),
                "mean_rating": mean,
                "genres": genres,
                "rated_highest": loved,
                "recommendations": theirs,
            }
        )
        return
    note(trained.named)
    caption = f"{len(rated):,} ratings, {mean:.2f} on average"
    if genres:
        caption += "; genres of what they liked: " + ", ".join(
            f"{name} {genres[name]}" for name in list(genres)[:GENRES]
        )
    if about:
        caption += "\n" + ", ".join(f"{name}: {text}" for name, text in about.items())
    stdout.print(list_table(rated.head(n), f"User {user} rated highest", "rating", caption=caption))
    stdout.print()
    stdout.print(list_table(listed, "Recommended", "stars"))


def _about(path: Path, user: str) -> dict[str, str]:
    """Return what the run knows of a user, as text; nothing where it has no table of users."""
    import pandas as pd

    if not path.is_file():
        return {}
    table = pd.read_csv(path, dtype=str, keep_default_na=False)
    row = table[table["user"] == user].drop(columns="user").head(1)
    return {str(name): str(text) for name, text in zip(row.columns, row.to_numpy().ravel(), strict=False) if text}


def _rated(fitted: Fitted, who: object) -> pd.DataFrame:
    """Return what somebody rated: highest first, then the most rated by all."""
    import pandas as pd

    from nmf_scratch.data.ratings import take_rows
    from nmf_scratch.fitted.state import item_names

    own = take_rows(fitted.ratings.by_user, fitted.user_codes([who]))
    table = pd.DataFrame({"item": fitted.item_ids[own.indices], "rating": own.values.astype(float)})
    if fitted.titles is not None:
        table.insert(1, "title", item_names(fitted, own.indices))
    table["n_ratings"] = fitted.ratings.item_counts[own.indices]
    if fitted.items is not None and "genres" in fitted.items:
        table["genres"] = fitted.items["genres"].fillna("").to_numpy()[own.indices]
    return table.sort_values(["rating", "n_ratings"], ascending=False, kind="stable", ignore_index=True)


def _genres(liked: pd.DataFrame) -> dict[str, int]:
    """Count the genres of items, the most frequent first."""
    if "genres" not in liked:
        return {}
    counts = liked["genres"].str.split("|").explode().value_counts()
    return {str(name): int(count) for name, count in counts.items() if name != ""}


if __name__ == "__main__":
    run_alone(user)
