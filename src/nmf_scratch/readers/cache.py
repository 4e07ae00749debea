"""A binary copy of each large text file that has been read, so that the next reading takes a fraction of the time.

A copy is found by the *content* of the file: its name is the SHA-256 of the bytes, of the options that they were read
with, and of the reader's version. A changed file, another option or a newer reader therefore never meets an old copy,
whatever the dates of the files say; a file that was moved or renamed keeps its copy. Hashing costs a fraction of what
parsing does.

A copy is a convenience and nothing rests on it: it is written beside its place and moved there in one step, a damaged
one is ignored and written again, and where nothing can be written there is none. ``rm -r data/cache`` is always safe.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from nmf_scratch._archive import replacing
from nmf_scratch.readers.binary import SUFFIXES, read_binary, write_npz
from nmf_scratch.readers.sniffing import GUESSED, Layout
from nmf_scratch.readers.table import merge_repeats
from nmf_scratch.readers.text import parse_ratings

VERSION = 2
"""Of the reader: raised whenever the same bytes are to be understood in another way."""

SMALLEST = 5 * 2**20
"""Files below this many bytes are read in an instant anyway."""


def read_merged(
    path: Path,
    layout: Layout = GUESSED,
    *,
    cache: Path | None = None,
    duplicates: str = "last",
    told: Callable[[str], None] | None = None,
) -> tuple[pd.DataFrame, int]:
    """Read a file of ratings and merge what is repeated, or take the copy of an earlier reading.

    Parameters
    ----------
    path : Path
        The file, as for `parse_ratings`.
    layout : Layout
    cache : Path, optional
        Folder of the copies; created if need be, but not its parents. None: no copies.
    duplicates : {"last", "sum", "mean"}
        As `how` of `merge_repeats`.
    told : callable, optional
        As for `parse_ratings`, whose errors are those here. With it there is no copy: each reading is to tell.

    Returns
    -------
    DataFrame
        As from `merge_repeats`.
    int
        How many rows were merged away.
    """
    copy = _place(path, cache if told is None else None, {**layout._asdict(), "duplicates": duplicates})
    if copy is not None and (found := _load(copy)):
        return found
    ratings, n_duplicates = merge_repeats(parse_ratings(path, layout, told=told), duplicates)
    if copy is not None:
        _store(copy, ratings, n_duplicates)
    return ratings, n_duplicates


def _place(path: Path, cache: Path | None, options: dict[str, Any]) -> Path | None:
    """Where the copy of a file is, or would be; None if it is to have none."""
    if cache is None or path.suffix.lower() in SUFFIXES:
        return None
    try:
        if path.stat().st_size < SMALLEST:
            return None
        with path.open("rb") as handle:
            digest = hashlib.file_digest(handle, "sha256")
    except OSError:  # the reader will say what is the matter
        return None
    # The suffix decides how a file is decompressed.
    digest.update(json.dumps([VERSION, path.suffix.lower(), options], sort_keys=True, default=dict).encode())
    return cache / f"{digest.hexdigest()}.npz"


def _load(copy: Path) -> tuple[pd.DataFrame, int] | None:
    try:
        with copy.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            n_duplicates = int(arrays["n_duplicates"])
            if sorted(arrays.files) != arrays["members"].tolist():
                return None  # zip keeps a checksum of each member, but not of their names
        return read_binary(copy), n_duplicates
    except Exception:  # there is none, or a damaged one, whose flaws are beyond foreseeing
        return None


def _store(copy: Path, ratings: pd.DataFrame, n_duplicates: int) -> None:
    """Write a copy in one step, or not at all."""
    with suppress(OSError, ValueError):  # no such folder, the disk is full, or a text is none in UTF-8
        copy.parent.mkdir(exist_ok=True)
        with replacing(copy) as file:
            write_npz(file, ratings, n_duplicates=np.array(n_duplicates))
