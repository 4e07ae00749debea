"""What the commands that ask a trained model share: ids and titles as typed, a new user's file, tables of lists."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from nmf_scratch._check import InputError
from nmf_scratch.cli._common import new_table, note, parse_columns

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from nmf_scratch.cli._runs import Trained
    from nmf_scratch.fitted.state import FoldedUser
    from nmf_scratch.model import NMF

SHOWN = 5
"""How many unknown items are named."""

UserRatingsOption = Annotated[
    Path | None, typer.Option(help="A file of somebody's own ratings (item, rating): for people not in the data.")
]


def typed_id(text: str, known_ids: np.ndarray) -> Any:
    """Turn what was typed into the dtype of the model's ids; text that is no such id stays text (and is unknown)."""
    if known_ids.dtype.kind not in "iuf":
        return text
    try:
        return known_ids.dtype.type(text).item()
    except (ValueError, OverflowError):
        return text


def typed_item(text: str, model: NMF, *, whole: bool = True) -> Any:
    """Turn what was typed into the id of an item: that id, or the item of that title; an unknown one stays as it is.

    Where ids are numbers, a number is an id, never a title. Unless the title must be `whole`, some of its words do.
    """
    from nmf_scratch.fitted.titles import item_called

    item = typed_id(text, model.item_ids_)
    if not isinstance(item, str) or _is_known(item, model):
        return item
    called = item_called(model.fitted_, text, whole=whole)
    return item if called is None else called


def known_item(text: str, model: NMF) -> Any:
    """Turn what was typed into the id of an item that the model knows; else name what may have been meant."""
    from nmf_scratch.fitted.titles import suggestions

    item = typed_item(text, model, whole=False)
    if not _is_known(item, model):
        near = suggestions(model.fitted_, text)
        look = f"did you mean {near}?" if near else "`nmf-scratch items WORDS` looks titles up"
        raise InputError(f"item {text!r} is neither an id nor a title that the model knows: {look}")
    return item


def known_user(text: str, model: NMF) -> Any:
    """Turn what was typed into the id of a user whom the model knows."""
    user = typed_id(text, model.user_ids_)
    if not model.fitted_.resolve([user]).known[0]:
        raise InputError(
            f"user {text!r} was not seen in training: {span_of(model)}; for somebody new, pass --user-ratings FILE"
        )
    return user


def span_of(model: NMF) -> str:
    """Say which users a model knows."""
    ids = model.user_ids_
    return f"the model knows {len(ids):,} users, from {ids[0]} to {ids[-1]}"


def _is_known(item: Any, model: NMF) -> bool:
    """Look an id up that may be of another type than those of the model, which is no news here."""
    with warnings.catch_warnings(action="ignore"):
        return bool(model.fitted_.item_codes([item])[0] >= 0)


def typed_items(text: str | None, model: NMF, option: str) -> list[Any] | None:
    """Read a list of ids or titles: separated by commas, or one a line in a file; unknown ones are named on stderr."""
    if text is None:
        return None
    items = [typed_item(part.strip(), model) for part in _parts(text, model, option) if part.strip()]
    if unknown := [str(item) for item in items if not _is_known(item, model)]:
        more = ", …" if len(unknown) > SHOWN else ""
        note(f"note: not known to the model, and passed over: {', '.join(unknown[:SHOWN])}{more} ({option})")
    return items


def _parts(text: str, model: NMF, option: str) -> list[str]:
    """Return what a list names: one item (titles have commas), the lines of a file, or what commas separate."""
    if _is_known(typed_item(text, model), model):
        return [text]
    if not _is_file(text):
        return text.split(",")
    note(f"note: items are read from the file {text} ({option})")
    return lines_of(Path(text))


def _is_file(text: str) -> bool:
    """Tell whether there is a file of that name; a long list of ids is no name at all."""
    try:
        return Path(text).is_file()
    except (OSError, ValueError):
        return False


def lines_of(file: Path) -> list[str]:
    """Return the lines of a small file, decompressed where its suffix says so; UTF-16 is known by its mark."""
    from nmf_scratch.readers.files import reading, reading_lines

    with reading(file, "bytes") as handle:
        mark = handle.read(2)
    encoding = "utf-16" if mark in (b"\xff\xfe", b"\xfe\xff") else "utf-8"
    with reading_lines(file, encoding) as lines:
        return [line.rstrip("\r\n") for line in lines]


def check_who(user: str | None, file: Path | None) -> None:
    """Refuse nobody, and two at once, before a model is loaded."""
    if user is not None and not user.strip():
        raise InputError("USER is empty: name a user, or pass --user-ratings FILE")
    if (user is None) == (file is None):
        raise InputError("name a USER, or pass --user-ratings FILE with somebody's own ratings: one of the two")


def who(user: str | None, file: Path | None, columns: str | None, model: NMF) -> Any:
    """Return the user that is asked for: an id, or somebody folded in from a file."""
    return typed_id(user, model.user_ids_) if file is None else folded_from(file, columns, model)  # type: ignore[arg-type]


def with_stars(table: pd.DataFrame, asked: Any, trained: Trained) -> pd.DataFrame:
    """Put the ratings that a rating model expects beside a list that a ranking model has sorted."""
    import numpy as np

    from nmf_scratch.fitted.state import FoldedUser

    model = trained.ratings
    if model is None or "stars" in table:
        return table
    if isinstance(asked, FoldedUser):
        asked = model.fold_in(list(zip(asked.items, asked.ratings, strict=True)))
    pairs = np.empty((len(table), 2), dtype=object)
    pairs[:, 0], pairs[:, 1] = [asked] * len(table), table["item"]
    with warnings.catch_warnings(action="ignore"):  # what is said of the user's id was said before
        stars = model.predict(pairs)
    return table.assign(stars=stars)


def folded_from(file: Path, columns: str | None, model: NMF) -> FoldedUser:
    """Fold somebody in from a file of items and ratings; what is left out is said on stderr."""
    if not file.is_file():
        raise InputError(f"there is no file {str(file)!r} (--user-ratings): pass a table with an item and a rating")
    given = [(typed_item(item, model), rating) for item, rating in own_ratings(file, columns)]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        folded = model.fold_in(given)
    for warning in caught:
        note(f"note: {warning.message}")
    if not folded.known:
        example = ", ".join(str(item) for item in model.item_ids_[:3])
        raise InputError(f"none of the items in {str(file)!r} is known to the model, whose ids look like {example}")
    return folded


def own_ratings(file: Path, columns: str | None) -> list[tuple[str, float]]:
    """Read items and ratings from a small file: columns by --columns, by well-known names, or in that order.

    Separators are guessed, quotes and a decimal comma are understood; three columns without names are those of a
    ratings file: user, item, rating.
    """
    from nmf_scratch.readers.sniffing import SEPARATORS, is_number, split

    lines = [line for line in lines_of(file) if line.strip()]
    fitting = [s for s in SEPARATORS if lines and all(len(split(line, s)) >= 2 for line in lines)]
    if not fitting:
        raise InputError(f"{str(file)!r} must have an item and a rating on each line, with one separator throughout")
    # A comma may be a decimal one, or stand in a title: any other separator that fits goes before it.
    rows = [[cell.strip() for cell in split(line, min(fitting, key=",".__eq__))] for line in lines]
    item, rating = _places(file, rows[0], columns)
    values = [row[rating].replace(",", ".") if rating < len(row) else "" for row in rows]
    start = 0 if is_number(values[0]) else 1
    for row, value in zip(rows[start:], values[start:], strict=True):
        if not is_number(value):
            raise InputError(f"ratings in {str(file)!r} must be numbers, got {value!r} in {' '.join(row)!r}")
    if not values[start:]:
        raise InputError(f"{str(file)!r} holds a header but no rating")
    return [(row[item], float(value)) for row, value in zip(rows[start:], values[start:], strict=True)]


def _places(file: Path, head: list[str], columns: str | None) -> tuple[int, int]:
    """Find the columns of items and ratings."""
    from nmf_scratch.readers.sniffing import ALIASES, plain_name

    plain, wanted, places = [plain_name(name) for name in head], parse_columns(columns) or {}, {}
    for role in ("item", "rating"):
        where = wanted.get(role)
        if where is None:
            places[role] = next((plain.index(name) for name in ALIASES[role] if name in plain), None)
        elif isinstance(where, int):
            places[role] = where if where < len(head) else None
        else:
            places[role] = head.index(where) if where in head else None
        if where is not None and places[role] is None:
            raise InputError(f"--columns {role}={where} is not in {str(file)!r}; its first line has: {', '.join(head)}")
    default = (0, 1) if len(head) == 2 else (1, 2)
    if len(head) > 3 and None in places.values():
        raise InputError(f"cannot tell items from ratings in {str(file)!r}: pass --columns item=…,rating=…")
    item, rating = (
        place if place is not None else other for place, other in zip(places.values(), default, strict=True)
    )
    return item, rating


def list_table(table: pd.DataFrame, title: str, number: str, caption: str | None = None) -> Table:
    """Build the table of a list: place, number, id and title, and how many ratings there are to go by."""
    number = number if number in table else "score"
    pretty = new_table(title, caption=caption)
    pretty.add_column("#", justify="right")
    pretty.add_column(number, justify="right")
    columns = [column for column in ("item", "user", "title") if column in table]
    for column in columns:
        pretty.add_column(column, overflow="fold")
    pretty.add_column("ratings", justify="right")
    for place, row in enumerate(table.to_dict("records"), start=1):
        pretty.add_row(
            str(place), f"{row[number]:.2f}", *(str(row[column]) for column in columns), f"{row['n_ratings']:,}"
        )
    return pretty
