"""`nmf-scratch recommend USER`: the best items that the user, or somebody with a file of ratings, has not rated."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nmf_scratch.cli._common import ColumnsOption, JsonOption, RunsOption, note, print_json, run_alone, stdout
from nmf_scratch.cli._ids import UserRatingsOption, check_who, list_table, span_of, typed_items, who, with_stars
from nmf_scratch.cli._runs import RUNS, ModelOption, load_trained

if TYPE_CHECKING:
    from nmf_scratch.model import NMF


AVERAGE = "by number of ratings; numbers are an average user's"


def recommend(
    user: Annotated[str | None, typer.Argument(help="The user's id, as in the ratings file.")] = None,
    n: Annotated[int, typer.Option("-n", help="How many items.")] = 10,
    user_ratings: UserRatingsOption = None,
    columns: ColumnsOption = None,
    candidates: Annotated[
        str | None, typer.Option(help="Only these items: ids or titles with commas between, or a file with one a line.")
    ] = None,
    blocked: Annotated[str | None, typer.Option(help="Never these items, given in the same ways.")] = None,
    min_ratings: Annotated[int, typer.Option(help="Only items with at least so many ratings.")] = 0,
    diversity: Annotated[float, typer.Option(help="From 0, the best scores, to 1, the least alike.")] = 0.0,
    model: ModelOption = None,
    include_seen: Annotated[bool, typer.Option("--include-seen", help="Also list what the user has rated.")] = False,
    output: RunsOption = RUNS,
    as_json: JsonOption = False,
) -> None:
    """Recommend items to a user, or to anybody by a file of their own ratings; an unknown user gets the most rated.

    The ranking model of the run puts items in order, and its rating model predicts the stars. With --model FILE, that
    file does what it can.
    """
    check_who(user, user_ratings)
    trained = load_trained(model, output)
    asked = who(user, user_ratings, columns, trained.lists)
    known = bool(trained.lists.fitted_.resolve([asked]).known[0])
    wishes: dict[str, Any] = {
        "candidates": typed_items(candidates, trained.lists, "--candidates"),
        "blocked": typed_items(blocked, trained.lists, "--blocked"),
        "exclude_seen": not include_seen,
        "min_ratings": min_ratings,
        "diversity": diversity,
    }
    table = with_stars(trained.lists.recommend(asked, n=n, **wishes), asked, trained)
    name = user or f"the ratings in {user_ratings}"
    if as_json:
        records = table.to_dict("records")
        print_json({**trained.files, "user": name, "known": known, "recommendations": records})
        return
    note(trained.named if known else f"{trained.named}\n{_about_unknown(name, trained.lists)}")
    if known:
        stdout.print(list_table(table, f"For user {user}" if user else f"For {name}", "stars"))
    else:
        stdout.print(list_table(table, "Most rated", "stars", caption=AVERAGE))
    if user_ratings is not None and len(table):
        options = {
            "--user-ratings": user_ratings,
            "--item": table["item"].iloc[0],
            "--columns": columns,
            "--model": model,
        }
        options |= {"--output": None if output == RUNS else output}
        words = [word for name, value in options.items() if value is not None for word in (name, str(value))]
        note(f"why? nmf-scratch explain {shlex.join(words)}")


def _about_unknown(user: str, model: NMF) -> str:
    return (
        f"User {user} is not in the training data, so there are no ratings to go by: these are the most rated items.\n"
        f"T{span_of(model)[1:]}."
    )


if __name__ == "__main__":
    run_alone(recommend)
