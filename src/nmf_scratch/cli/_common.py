"""What the commands share: options, reading the data, the model that they describe, and how mistakes end."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich import box
from rich.table import Table

from nmf_scratch._check import InputError
from nmf_scratch._console import PlainConsole, PlainTable, in_json
from nmf_scratch.cli._complete import complete_dataset, complete_solver

if TYPE_CHECKING:
    from nmf_scratch.data.dataset import Dataset
    from nmf_scratch.model import NMF

USER_MISTAKE, INTERRUPTED, NO_READER = 2, 130, 141
"""Exit codes."""

RANK, WEIGHTING = 100, "0.5"
"""Defaults of options, those of `NMF`: to import it would slow every command down."""

FIRST_CHOICE, SECOND_CHOICE = "ml-100k", "demo"
PREDEFINED = "u1-u5"

stdout = PlainConsole()
stderr = PlainConsole(stderr=True)

DatasetOption = Annotated[
    str | None,
    typer.Option(
        "--dataset",
        "-d",
        help="A name from `nmf-scratch data list`, or a ratings file, folder or zip.",
        autocompletion=complete_dataset,
        show_default="ml-100k, else demo",
    ),
]
DataDirOption = Annotated[
    Path | None,
    typer.Option(help="Where datasets are kept.", show_default="$NMF_SCRATCH_DATA_DIR or ./data"),
]
ColumnsOption = Annotated[
    str | None,
    typer.Option(help="Columns of a ratings file, e.g. user=reader,item=isbn,rating=stars (names or positions)."),
]
ItemsOption = Annotated[
    Path | None, typer.Option("--items", help="Table of the items of a ratings file, for their titles: id and title.")
]
SeparatorOption = Annotated[
    str | None, typer.Option(help="Separator of a ratings file, \\t for tab.", show_default="guessed")
]
EncodingOption = Annotated[str, typer.Option(help="Encoding of a ratings file, e.g. latin-1.")]
DecimalOption = Annotated[str, typer.Option(help="What stands before the fraction of a number in it: . or ,")]
DuplicatesOption = Annotated[
    str | None,
    typer.Option(
        help="What becomes of repeated (user, item) pairs: last, sum or mean.", show_default="last, sum with --implicit"
    ),
]
SkipBadOption = Annotated[bool, typer.Option("--skip-bad", help="Leave out lines that cannot be read, and say which.")]
SolverOption = Annotated[
    str | None,
    typer.Option(
        "--solver",
        "-s",
        help="Solver to train with.",
        show_default="adagrad, als with --implicit",
        autocompletion=complete_solver,
    ),
]
ImplicitOption = Annotated[
    bool,
    typer.Option(
        "--implicit",
        help="The data holds choices (clicks, plays, purchases), with or without counts: learn lists, not ratings.",
    ),
]
RankOption = Annotated[int, typer.Option("--n-components", "-k", help="Number of latent factors.")]
AlphaOption = Annotated[float | None, typer.Option(help="Penalty on the factors.", show_default="the solver's")]
AlphaBiasOption = Annotated[float | None, typer.Option(help="Penalty on the biases.", show_default="the solver's")]
WeightingOption = Annotated[
    str,
    typer.Option(help="How a row's penalty grows with its n ratings: count (n), plain (1), or ν from 0 to 1 (n^ν)."),
]
L1RatioOption = Annotated[float, typer.Option(help="Share of the penalty that is absolute (lasso), 0 to 1.")]
ExactBelowOption = Annotated[
    int,
    typer.Option(help="Rows with fewer ratings are solved exactly at the end (stochastic solvers; 0: none)."),
]
LossOption = Annotated[
    float, typer.Option(help="β of the β-divergence to minimise: 2 squared error, 1 Kullback-Leibler, 0 Itakura-Saito.")
]
MaxIterOption = Annotated[int | None, typer.Option(help="Number of epochs.", show_default="the solver's")]
SeedOption = Annotated[int, typer.Option(help="Seed of everything that is random.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON on stdout instead of a table.")]
RunsOption = Annotated[Path, typer.Option("--output", "-o", help="Folder that holds the runs.")]


def run(app: typer.Typer) -> None:
    """Run a command; end in one line and an exit code where the user made a mistake or pressed Ctrl-C."""
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="replace")  # what a stream cannot encode is no reason to lose the rest
    warnings.filterwarnings("ignore", message="Ctrl-C ended the fit")  # commands say what becomes of their work
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, signal.default_int_handler)  # to be ended is to be interrupted: nothing is lost
    try:
        code = app(standalone_mode=False)
    except BrokenPipeError:
        stop_writing()
        code = NO_READER
    except (InputError, OSError) as error:
        _print_error(str(error))
        code = USER_MISTAKE
    except MemoryError as error:
        _print_error(f"there is not enough memory ({error}): take fewer factors or ratings, or a larger machine")
        code = USER_MISTAKE
    except (KeyboardInterrupt, typer.Abort):
        code = INTERRUPTED
    except Exception as error:
        code = _usage_error(error)
    if code == INTERRUPTED:  # some versions of typer return it, others raise
        note("interrupted")
    sys.exit(code if isinstance(code, int) else 0)


def stop_writing() -> None:
    """Send the rest of standard output nowhere: it cannot be written, and would be tried again at the end."""
    with Path(os.devnull).open("wb") as nowhere:
        os.dup2(nowhere.fileno(), sys.stdout.fileno())


def _usage_error(error: Exception) -> int:
    """Print a mistake in the options as the option parser words it; anything else is a bug and keeps its traceback."""
    if not hasattr(error, "format_message"):
        raise error
    message = error.format_message()
    if not message.strip():  # nothing was asked for, and the help has been printed
        return 0
    _print_error(message)
    return USER_MISTAKE


def _print_error(message: str) -> None:
    line = " ".join(message.split("\n"))
    stderr.print(f"error: {line}", style="red", soft_wrap=True)


def run_alone(command: Callable[..., None]) -> None:
    """Run one command as a program of its own: `python -m nmf_scratch.cli.train`."""
    app = typer.Typer(pretty_exceptions_enable=False, add_completion=False)
    app.command()(command)
    run(app)


def note(text: str) -> None:
    """Say something about the run on stderr, so that stdout stays for results."""
    stderr.print(text, soft_wrap=True)


@cache
def tell_when_compiling() -> None:
    """Say so, beside the bar or once in a line, where a command stands still because kernels are compiled."""
    from nmf_scratch._jit import when_compiling
    from nmf_scratch._progress import mention_compiling

    say_once = cache(lambda: note("compiling kernels, once for this machine and version …"))
    when_compiling(lambda: None if mention_compiling() else say_once())


def print_json(content: Any) -> None:
    """Print plain JSON on stdout, in ASCII where the stream is not UTF-8."""
    is_utf8 = (sys.stdout.encoding or "utf-8").lower().replace("-", "") == "utf8"
    text = json.dumps(content, indent=2, ensure_ascii=not is_utf8, default=str)
    sys.stdout.write(in_json(text) + "\n")


SOURCE = (
    "data_dir", "columns", "separator", "encoding", "decimal", "items", "implicit", "duplicates", "skip_bad",
)  # fmt: skip
"""Options that say how a data set is read, by their names in `load_dataset`."""


def source_of(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a command's options say of how its data is read, as `load_dataset` takes it."""
    given = {name: options[name] for name in SOURCE if options.get(name) is not None}
    if "columns" in given:
        given["columns"] = parse_columns(given["columns"])
    if "separator" in given:
        given["separator"] = given["separator"].replace("\\t", "\t")
    return given


def read_asked(options: Mapping[str, Any], *, counts: bool | str = True) -> Dataset:
    """Load the data set that a command's options describe; where they name none, ml-100k if it can be had, else demo.

    `counts` says whether ratings may be counts; where they may not, it is the option to pass instead.
    """
    from nmf_scratch.readers.catalogue import DataUnavailable
    from nmf_scratch.readers.load import load_dataset

    tell_when_compiling()
    name = options["dataset"]
    try:
        dataset = load_dataset(name or FIRST_CHOICE, **source_of(options), report=note)
    except DataUnavailable as error:
        if name is not None:
            raise
        note(f"Using the built-in {SECOND_CHOICE} data, whose ratings are invented, because {error}")
        dataset = load_dataset(SECOND_CHOICE)
    if dataset.n_duplicates:
        note(f"{dataset.n_duplicates:,} repeated (user, item) pairs: {_merged(dataset, options)}")
    if counts is not True:
        _refuse_counts(dataset, counts)
    return dataset


def _merged(dataset: Dataset, options: Mapping[str, Any]) -> str:
    """Say what became of repeated pairs."""
    from nmf_scratch.readers.table import MERGED, how_to_merge

    order = "by time" if "timestamp" in dataset.ratings else "in the order of the file"
    how = how_to_merge(options.get("duplicates"), bool(options.get("implicit")))
    return f"{MERGED[how]}, {order}" if how == "last" else MERGED[how]


def _refuse_counts(dataset: Dataset, remedy: str | bool) -> None:
    """Refuse plays, clicks and sums of money where ratings on a scale are needed: their errors mean nothing."""
    import numpy as np

    from nmf_scratch.data.statistics import are_counts

    values = dataset.ratings["rating"].to_numpy()
    levels = np.unique(values)
    if len(levels) and are_counts(levels, values):
        raise InputError(
            f"the ratings of {dataset.name} are counts, not a scale: from {levels[0]:,g} to {levels[-1]:,g}, half of "
            f"them up to {np.median(values):,g}. Pass {remedy} to learn lists from how often somebody chose an item"
        )


def parse_columns(text: str | None) -> dict[str, str | int] | None:
    """Read user=reader,item=3 as a mapping; whole numbers are positions."""
    if text is None:
        return None
    pairs = [part.partition("=") for part in text.split(",")]
    if not all(name.strip() and sign and column.strip() for name, sign, column in pairs):
        raise InputError(f"--columns must read like user=reader,item=isbn,rating=stars, got {text!r}")
    return {name.strip(): int(column) if column.strip().isdecimal() else column.strip() for name, _, column in pairs}


def check_folds(folds: str) -> str:
    """Refuse a --folds that no dataset could honour, before any is read."""
    if folds != PREDEFINED and not (folds.isdecimal() and int(folds) >= 2):
        raise InputError(f"--folds must be {PREDEFINED} or an integer of 2 or more, got {folds!r}")
    return folds


FoldsOption = Annotated[
    str,
    typer.Option(callback=check_folds, help="Number of random folds, or u1-u5 for the predefined folds of ml-100k."),
]


def make_splitter(folds: str, dataset: Dataset, seed: int) -> Any:
    """Turn --folds into a splitter."""
    from nmf_scratch.evaluation.splits import KFold, PredefinedSplit

    if folds != PREDEFINED:
        return KFold(int(folds), shuffle=True, random_state=seed)
    if dataset.test_fold is None:
        raise InputError(f"--folds {PREDEFINED} needs ml-100k; {dataset.name} has no predefined folds: use --folds 5")
    return PredefinedSplit(dataset.test_fold)


PARAMETERS = (
    "solver", "n_components", "alpha", "alpha_bias", "max_iter", "loss", "weighting", "l1_ratio", "exact_below",
)  # fmt: skip
"""Parameters of `NMF` that are options of that name."""


def make_model(options: Mapping[str, Any]) -> NMF:
    """Build the estimator that a command's options describe; with --implicit, one that sorts lists."""
    from nmf_scratch._check import check_choice, check_number
    from nmf_scratch.model import NMF
    from nmf_scratch.solvers import SOLVERS

    given = {name: options[name] for name in PARAMETERS if options[name] is not None}
    if "solver" in given:
        check_choice("solver", given["solver"], SOLVERS)
    check_number("seed", options["seed"], minimum=0, integer=True)
    given["weighting"] = as_weighting(given["weighting"])
    task = "ranking" if options["implicit"] else "rating"
    model = NMF(**given, task=task, random_state=options["seed"])
    model.epochs()  # refuses bad parameters now, not after minutes of reading and cross-validation
    return model


def as_weighting(text: str) -> str | float:
    """Return a typed exponent as the number it is, and a name as it stands."""
    try:
        return float(text)
    except ValueError:
        return text


def new_table(title: str, **options: Any) -> Table:
    """Return an empty table in the look of all commands: narrow, without a frame."""
    look = {"box": box.SIMPLE_HEAD, "show_edge": False, "pad_edge": False, "collapse_padding": True}
    return PlainTable(title, title_justify="left", caption_justify="left", **{**look, **options})


def describe_line(dataset: Dataset) -> str:
    """Return the one line that says what was loaded."""
    ratings = dataset.ratings
    n_users, n_items = ratings["user"].nunique(), ratings["item"].nunique()
    density = len(ratings) / (n_users * n_items)
    return (
        f"{dataset.name}: {len(ratings):,} ratings of {n_items:,} items by {n_users:,} users ({density:.2%} observed)"
    )
