"""Hostile files and command lines, made by chance: whatever comes in, a result or an `InputError` comes out.

Each input is a function of its kind and its number, so a finding is repeated by its number alone:

    python tests/fuzz.py --inputs 20000                 all kinds, in the shares of `SHARES`, on all processors
    python tests/fuzz.py --kind ratings --number 4711   one input again, with its traceback
    python tests/fuzz.py --inputs 50000 --store         inputs never tried before; counts add up in results/fuzz.json

What counts as found: any other exception (disk trouble may be an OSError that names the file), more than ten seconds
for one input, a gibibyte of memory. Sound inputs are among them, for what is refused always is no reader.
"""

from __future__ import annotations

import argparse
import contextlib
import copy
import gzip
import io
import json
import multiprocessing
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from nmf_scratch import NMF, InputError, load_dataset
from nmf_scratch._archive import load_arrays, save_arrays
from nmf_scratch.data.dataset import Dataset

SHARES = {"ratings": 0.6, "models": 0.2, "archives": 0.15, "commands": 0.05}
"""Kinds of inputs, and how many of all inputs each is."""

SLOW, LARGE = 10.0, 2**30
"""Seconds for one input, and bytes of memory of a process, that are findings."""

PIECES = (
    *("1", "2", "196", "007", "-3", "3.5", "4,5", "1e3", "1e999", "nan", "inf", "NULL", "NA", "", " ", "  ", "True"),
    *("x", "a b", "é", "日本", "\u00a0", "\u202e", "\x00", "\x1b[31m", "[bold]", "\ud7ff", "😀", "٣", "=1+1", "'", '"'),
    *('""', '"a', 'a"b', '"a,b"', "user", "item", "rating", "timestamp", "plays", "2019-12-03", "12/03/2019"),
    *("881250949", "9" * 25, "x" * 1200, "-0", "+1", "0x1F", "1_000", "\\N", ";", "|", "::", ",", "\t", "\r", "\ufeff"),
)
"""What fields are made of."""

SEPARATORS = (",", "\t", ";", "|", "::", " ")


class Finding(NamedTuple):
    """An input that ended neither in a result nor in an `InputError`."""

    kind: str
    number: int
    what: str


# --- ratings files --------------------------------------------------------------------------------------------------


def ratings_file(rng: random.Random, folder: Path) -> None:
    """Read a delimited file, or one that was."""
    path = folder / f"ratings{rng.choice(['.csv', '.csv', '.csv', '.txt', '.dat', '.csv.gz', '.npz', '.xz', '.bz2'])}"
    path.write_bytes(_table(rng, path.suffix))
    options: dict[str, Any] = {"cache": False}
    if rng.random() < 0.3:
        options |= {"skip_bad": True, "report": lambda told: None}
    for name, values in {
        "implicit": [True],
        "decimal": [",", ".", ";"],
        "separator": [*SEPARATORS, "ab", ""],
        "header": [True, False],
        "encoding": ["latin-1", "utf-16", "utf-8-sig", "punycode", "nonsense", "utf-7", "cp037", "rot13"],
        "columns": [{"user": 0, "item": 1, "rating": 2}, {"user": "user", "item": "item"}, {"user": 9}, {"who": 1}],
        "duplicates": ["last", "sum", "mean", "first"],
    }.items():
        if rng.random() < 0.12:
            options[name] = rng.choice(values)
    data = load_dataset(path, **options)
    assert len(data.ratings), "an empty data set"
    assert np.isfinite(data.ratings["rating"]).all()
    assert (data.ratings["rating"] >= 0).all()
    assert not data.ratings.duplicated(["user", "item"]).any()


def _table(rng: random.Random, suffix: str) -> bytes:
    separator, end = rng.choice(SEPARATORS), rng.choice(["\n", "\n", "\r\n", "\r"])
    n_fields, odd = rng.choice([1, 2, 3, 3, 3, 4, 4, 5]), rng.choice([0.0, 0.0, 0.02, 0.2, 1.0])
    lines = [separator.join(["user", "item", "rating", "timestamp", "remark"][:n_fields])] * rng.choice([0, 1])
    for _ in range(rng.choice([0, 1, 2, 5, 30])):
        fields = [str(rng.randrange(50)), f"b{rng.randrange(30)}", str(rng.randint(1, 5)), "881250949", "fine"]
        lines.append(separator.join(rng.choice(PIECES) if rng.random() < odd else field for field in fields[:n_fields]))
    text = end.join(lines) + rng.choice(["", end])
    raw = text.encode(rng.choice(["utf-8", "utf-8", "utf-8", "latin-1", "utf-16"]), "replace")
    raw = gzip.compress(raw, 1) if suffix == ".gz" and rng.random() < 0.8 else raw
    return _damaged(rng, raw) if rng.random() < 0.3 else raw


def _damaged(rng: random.Random, raw: bytes) -> bytes:
    """Cut, repeat, flip or insert some bytes."""
    data = bytearray(raw)
    for _ in range(rng.choice([1, 1, 3])):
        at = rng.randrange(len(data) + 1)
        match rng.randrange(4):
            case 0:
                del data[at : at + rng.choice([1, 4, 1000])]
            case 1:
                data[at:at] = data[max(0, at - 40) : at]
            case 2:
                data[at:at] = rng.randbytes(rng.choice([1, 3, 16]))
            case _:
                data[at : at + 1] = bytes([rng.randrange(256)])
    return bytes(data)


# --- model files ----------------------------------------------------------------------------------------------------

VALUES = (
    *(None, True, False, 0, -1, 3, 10**400, 1.5, -0.0, float("nan"), float("inf"), "", "als", "x" * 300, [], [1], {}),
    *([1, 2], [2, 1], ["a", "b"], [None], {"name": "sgd"}, {"a": {"b": [{}]}}, "auto", "2", [[1]]),
)
"""What entries of a header are replaced by."""

DTYPES = ("f4", "f8", "i4", "i8", "u1", "?", "U5", "f2")


def model_file(rng: random.Random, folder: Path) -> None:
    """Load a model whose header, arrays or bytes were changed, and ask it."""
    path = folder / "model.safetensors"
    source = SOUND / rng.choice(["rating.safetensors", "ranking.safetensors"])
    if rng.random() < 0.3:
        path.write_bytes(_damaged(rng, source.read_bytes()))
    else:
        arrays, header = load_arrays(source)
        header = json.loads(json.dumps(header))
        for _ in range(rng.choice([0, 1, 1, 2])):
            _change_header(rng, header)
        for _ in range(rng.choice([0, 0, 1, 2])):
            _change_array(rng, arrays)
        save_arrays(path, arrays, header)
    model = NMF.load(path)
    user, item = model.user_ids_[0], model.item_ids_[0]
    assert np.isfinite(model.predict([(user, item)])).all()
    model.recommend(user, n=3)
    model.similar_items(item, n=2)
    model.history_.to_frame()
    repr(model)


def _change_header(rng: random.Random, header: Any) -> None:
    """Replace a value somewhere in the header, or leave it out."""
    place = header
    while True:
        keys = list(place) if isinstance(place, dict) else range(len(place))
        key = rng.choice(list(keys))
        if isinstance(place[key], (dict, list)) and place[key] and rng.random() < 0.6:
            place = place[key]
            continue
        if isinstance(place, dict) and rng.random() < 0.15:
            del place[key]
        else:
            place[key] = copy.deepcopy(rng.choice(VALUES))  # which the next change may reach into
        return


def _change_array(rng: random.Random, arrays: dict[str, Any]) -> None:
    """Change entries, type or shape of an array."""
    name = rng.choice(list(arrays))
    array = arrays[name]
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        match rng.randrange(6):
            case 0:
                arrays[name] = array[: rng.randrange(len(array) + 1)]
            case 1:
                arrays[name] = array[::-1].copy()
            case 2:
                with contextlib.suppress(ValueError):  # text that is no number
                    arrays[name] = array.astype(rng.choice(DTYPES), casting="unsafe")
            case 3:
                arrays[name] = array.reshape(rng.choice([(-1,), (1, -1), (-1, 1)]))
            case 4:
                changed = array.copy().reshape(-1)
                if len(changed) and changed.dtype.kind in "iuf":
                    changed[rng.randrange(len(changed))] = rng.choice([0, 1, 127]) if changed.dtype.kind == "u" else -1
                    if changed.dtype.kind == "f":
                        changed[rng.randrange(len(changed))] = rng.choice([np.nan, np.inf, -1.0, 1e30, 0.0])
                arrays[name] = changed.reshape(array.shape)
            case _:
                del arrays[name]


# --- archives, and tables of items ----------------------------------------------------------------------------------


def archive(rng: random.Random, folder: Path) -> None:
    """Read a zip archive, a MovieLens folder, or a file with a table of its items."""
    if rng.random() < 0.4:
        ratings, items = folder / "ratings.csv", folder / "items.csv"
        ratings.write_text("user,item,rating\n" + "".join(f"{i % 7},{i % 5},{i % 4 + 1}\n" for i in range(20)))
        items.write_bytes(_items(rng))
        load_dataset(ratings, items=items, cache=False, encoding=rng.choice(["utf-8", "utf-8", "latin-1", "utf-16"]))
        return
    path = folder / "data.zip"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a name that is there twice
        with zipfile.ZipFile(path, "w", rng.choice([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])) as content:
            for _ in range(rng.choice([0, 1, 1, 2, 4])):
                content.writestr(_member(rng), _table(rng, "") if rng.random() < 0.7 else _items(rng))
    if rng.random() < 0.4:
        path.write_bytes(_damaged(rng, path.read_bytes()))
    load_dataset(path, cache=False)


def _member(rng: random.Random) -> str:
    names = ["ratings.csv", "movies.csv", "u.data", "u.item", "u.genre", "u.user", "ratings.dat", "movies.dat", "x.csv"]
    odd = ["../x", "/x", "a/../../x", "C:x", "con", "x", "a\\b", "é", "x" * 300, "a/", "__MACOSX/x"]
    return rng.choice(["", "", "ml/"]) + rng.choice([*names, *names, *odd])


def _items(rng: random.Random) -> bytes:
    separator, odd = rng.choice(SEPARATORS[:4]), rng.choice([0.0, 0.1, 0.5])
    lines = [separator.join(rng.sample(["item", "movieId", "title", "genres", "year", "x", '"title"', ""], k=3))]
    for i in range(rng.choice([0, 1, 6])):
        fields = [str(i), f"Film {i} (19{i:02d})", rng.choice(["Drama|War", "", "(no genres listed)"])]
        lines.append(separator.join(rng.choice(PIECES) if rng.random() < odd else field for field in fields))
    raw = "\n".join(lines).encode(rng.choice(["utf-8", "latin-1", "utf-16"]), "replace")
    return _damaged(rng, raw) if rng.random() < 0.2 else raw


# --- command lines --------------------------------------------------------------------------------------------------

WORDS = (
    *("0", "1", "-1", "3", "b01", "b02", "nobody", "", " ", "--", "-", "--json", "-k", "-n", "--help", "nan", "1e400"),
    *("[b]", "\x1b[2J", "日本", "a,b", "b01:5", "b01:5,b02:1", "b01=5", "0.1,0.3", "0.1:0.3", "als", "nope", "demo"),
)
ASKING = ("recommend", "explain", "similar", "factors", "items", "user")
COMMANDS = [
    line.split()
    for line in (
        *("recommend", "recommend 1", "explain", "explain 1 b01", "similar", "similar b01", "factors", "items", "user"),
        *("items b", "user 1", "export", "data", "data list", "data stats", "data stats demo", "data download nope"),
        *("plot", "plot nope", "evaluate", "tune", "compare", "train", "report", "nope", ""),
    )
]
OPTIONS = (
    *("--n", "--json", "--model", "--user", "--item", "--ratings", "--user-ratings", "--candidates", "--min-ratings"),
    *("--dataset", "-d", "--folds", "--solver", "-k", "--seed", "--alpha", "--max-iter", "--output", "--run"),
)


def command_line(rng: random.Random, folder: Path) -> None:
    """Call a command with what comes to hand; what would train, write or fetch is stopped by an option."""
    from nmf_scratch.cli import main

    words = [*rng.choice(COMMANDS)]
    for _ in range(rng.choice([0, 1, 2, 3])):
        words += [rng.choice(OPTIONS), rng.choice(WORDS)] if rng.random() < 0.6 else [rng.choice(WORDS)]
    command = words[0] if words else ""
    if command in ("train", "tune", "compare", "evaluate"):
        words += ["--folds", rng.choice(["0", "1", "x"])]
    elif command in ASKING and "--model" not in words:
        words += ["--model", str(SOUND / "ranking.safetensors")]
    out, err = io.StringIO(), io.StringIO()
    before, home, sys.argv = sys.argv, Path.cwd(), ["nmf-scratch", *words]
    os.chdir(folder)
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            main()
    except SystemExit as ended:
        assert ended.code in (0, 1, 2), f"exit code {ended.code}"
    finally:
        sys.argv = before
        os.chdir(home)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
    said = out.getvalue() + err.getvalue()
    assert "Traceback" not in said
    assert "\x1b[2J" not in said


# --- running --------------------------------------------------------------------------------------------------------

KINDS: dict[str, Callable[[random.Random, Path], None]] = {
    "ratings": ratings_file,
    "models": model_file,
    "archives": archive,
    "commands": command_line,
}

SOUND = Path(tempfile.gettempdir()) / f"nmf-scratch-fuzz-{os.getuid() if hasattr(os, 'getuid') else 0}"
"""Folder of the sound models that others are made from."""


def make_sound() -> None:
    """Fit the two models, once for all processes."""
    SOUND.mkdir(exist_ok=True)
    rng = np.random.default_rng(0)
    cells = rng.permutation(20 * 12)[:90]
    frame = pd.DataFrame({"user": cells // 12, "item": [f"b{c:02d}" for c in cells % 12], "rating": cells % 5 + 1.0})
    items = pd.DataFrame({"item": [f"b{i:02d}" for i in range(12)], "title": [f"Film {i}" for i in range(12)]})
    for task in ("rating", "ranking"):
        model = NMF(2, task=task, max_iter=2, random_state=0).fit(Dataset("fuzz", frame, items=items))
        model.save(SOUND / f"{task}.safetensors")


def try_input(kind: str, number: int) -> Finding | None:
    """Make one input, read it, and say what is wrong, if anything."""
    rng, started = random.Random(f"{kind} {number}"), time.monotonic()
    folder = Path(tempfile.mkdtemp(prefix="fuzz-"))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            KINDS[kind](rng, folder)
    except InputError as error:
        if "\n" in str(error).strip():
            return Finding(kind, number, f"a message of several lines: {error}")
    except OSError as error:
        if str(folder) not in str(error):
            return Finding(kind, number, traceback.format_exc())
    except BaseException:
        return Finding(kind, number, traceback.format_exc())
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    took = time.monotonic() - started
    return Finding(kind, number, f"took {took:.1f} seconds") if took > SLOW else None


def try_inputs(job: tuple[str, int, int]) -> tuple[str, int, list[Finding], float]:
    """Try the inputs of one kind from a first number to before a last one."""
    kind, first, last = job
    started = time.monotonic()
    found = [finding for number in range(first, last) if (finding := try_input(kind, number))]
    if (peak := peak_memory()) > LARGE:
        found.append(Finding(kind, first, f"{peak / 2**20:,.0f} MiB by number {last}"))
    return kind, last - first, found, time.monotonic() - started


def peak_memory() -> int:
    """Return the most bytes that this process has held; `ru_maxrss` counts those of the one that started it, too."""
    status = Path("/proc/self/status")
    if status.exists():
        return int(status.read_text().partition("VmHWM:")[2].split()[0]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def fuzz(n_inputs: int, *, first: int = 0, n_processes: int | None = None) -> tuple[dict[str, int], list[Finding]]:
    """Try so many inputs of all kinds; return how many of each, and what was found."""
    make_sound()
    block = 500
    jobs = [
        (kind, start, min(start + block, first + round(share * n_inputs)))
        for kind, share in SHARES.items()
        for start in range(first, first + round(share * n_inputs), block)
    ]
    tried, findings = dict.fromkeys(SHARES, 0), []
    with multiprocessing.get_context("spawn").Pool(n_processes, maxtasksperchild=20) as pool:
        for kind, n, found, _ in pool.imap_unordered(try_inputs, jobs):
            tried[kind] += n
            findings += found
    return tried, findings


STORED = Path(__file__).parents[1] / "benchmarks" / "results" / "fuzz.json"
"""Inputs tried and findings by kind, over all runs with --store, and the number from which on inputs are new."""


def stored() -> dict[str, Any]:
    """Return the counts of all runs so far."""
    if STORED.exists():
        content: dict[str, Any] = json.loads(STORED.read_text(encoding="utf-8"))
        return content
    return {"next": 1_000_000, "kinds": {kind: {"inputs": 0, "findings": 0} for kind in SHARES}}


def store(tried: dict[str, int], findings: list[Finding], n_inputs: int) -> None:
    """Add the counts of a run to those of all."""
    content = stored()
    content["next"] += n_inputs
    for kind, n in tried.items():
        content["kinds"][kind]["inputs"] += n
        content["kinds"][kind]["findings"] += sum(finding.kind == kind for finding in findings)
    STORED.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--inputs", type=int, default=20_000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--processes", type=int, default=None)
    parser.add_argument("--kind", choices=list(KINDS))
    parser.add_argument("--number", type=int)
    parser.add_argument("--store", action="store_true")
    given = parser.parse_args()
    if given.number is not None:
        make_sound()
        print(try_input(given.kind, given.number))
    else:
        first = stored()["next"] if given.store else given.first
        counts, problems = fuzz(given.inputs, first=first, n_processes=given.processes)
        if given.store:
            store(counts, problems, given.inputs)
        print(json.dumps(counts), f"{len(problems)} findings")
        for problem in problems:
            lines = problem.what.strip().splitlines()
            print(problem.kind, problem.number, lines[-1][:200], "|", *lines[-4:-1][:2])
        sys.exit(bool(problems))
