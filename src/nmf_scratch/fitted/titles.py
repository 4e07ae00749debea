"""Items by what they are called: people type "star wars", and files say "Star Wars (1977)" or "Shining, The (1980)".

Titles are compared word by word: without capitals, accents, punctuation and articles, in any order, and no word need be
typed to its end. An item is *meant* by words that are all of its title, with or without the year;
so "alien" is Alien (1979), although Aliens (1986) and Alien: Resurrection (1997) hold it, too.
"""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nmf_scratch._check import InputError
from nmf_scratch.fitted.state import Fitted

NEAR = 0.6
"""Likeness of spellings from which on a title is suggested."""

ARTICLES = ("a", "an", "the")
"""Words that people leave out, and files move behind a comma."""

SUGGESTED = 5
"""How many titles an error suggests."""

_YEAR = re.compile(r"\s*\((?:19|20)\d\d\)\s*$")


def words_of(text: str) -> tuple[str, ...]:
    """Return the words of a title, sorted: without capitals, accents, punctuation, and articles beside other words."""
    plain = "".join(c for c in unicodedata.normalize("NFKD", text.casefold()) if not unicodedata.combining(c))
    words = re.findall(r"\w+", plain.replace("'", ""))
    return tuple(sorted([word for word in words if word not in ARTICLES] or words))


def find_items(fitted: Fitted, text: str) -> NDArray[np.intp]:
    """Return the codes of the rated items whose titles hold all the words, most rated first.

    Parameters
    ----------
    fitted : Fitted
        With titles; without any, nothing is found.
    text : str
        Words of a title; each may be the beginning of a longer one.
    """
    words, titles = words_of(text), fitted.once(_titles)
    found = [
        code
        for code, (_, whole, _) in titles.items()
        if words and all(any(own.startswith(word) for own in whole) for word in words)
    ]
    return _most_rated(fitted, found)


def item_called(fitted: Fitted, text: str, *, whole: bool = True) -> Any:
    """Return the id of the item that a title means; None if there is none.

    Parameters
    ----------
    fitted : Fitted
    text : str
        A title, with or without its year.
    whole : bool
        Whether all words must be there; else some words do, where only one title holds them.

    Raises
    ------
    InputError
        If several items may be meant: it names them, with their ids.
    """
    words, titles = words_of(text), fitted.once(_titles)
    found = find_items(fitted, text)
    for place in (1, 2):  # the whole title, then the title without its year
        exact = [code for code in found if titles[code][place] == words]
        if len({titles[code][0] for code in exact}) == 1:  # a data set may hold one film twice: the more rated one
            return fitted.item_ids[exact[0]]
    meant = exact if whole else found
    if len(meant) > 1:
        near = _listed(fitted, meant)
        raise InputError(f"{text!r} may be any of {near}: type the whole title with its year, or the id")
    return fitted.item_ids[meant[0]] if len(meant) else None


def suggestions(fitted: Fitted, text: str) -> str:
    """Name the items whose titles hold the words of a text, or else are spelt most like it; empty if there are none."""
    if len(found := find_items(fitted, text)):
        return _listed(fitted, found)
    by_name: dict[str, int] = {}
    for code in _most_rated(fitted, list(fitted.once(_titles))):
        title = fitted.once(_titles)[int(code)][0]
        by_name.setdefault(_YEAR.sub("", title).casefold(), int(code))
    near = difflib.get_close_matches(text.casefold(), by_name, SUGGESTED, NEAR)
    return _listed(fitted, [by_name[name] for name in near])


def _titles(fitted: Fitted) -> dict[int, tuple[str, tuple[str, ...], tuple[str, ...]]]:
    """Return title, words, and words without the year, of each rated item that has a title."""
    if fitted.titles is None:
        return {}
    titles = fitted.titles.fillna("").astype(str).to_numpy()
    named = (int(code) for code in np.flatnonzero(fitted.ratings.item_counts) if titles[code])
    return {code: (titles[code], words_of(titles[code]), words_of(_YEAR.sub("", titles[code]))) for code in named}


def _most_rated(fitted: Fitted, codes: list[int]) -> NDArray[np.intp]:
    found = np.array(codes, dtype=np.intp)
    return found[np.argsort(-fitted.ratings.item_counts[found], kind="stable")]


def _listed(fitted: Fitted, codes: Sequence[int] | NDArray[np.intp]) -> str:
    named = [f"{fitted.once(_titles)[int(code)][0]} (id {fitted.item_ids[code]})" for code in codes[:SUGGESTED]]
    more = f" and {len(codes) - SUGGESTED} more" if len(codes) > SUGGESTED else ""
    return ", ".join(named) + more
