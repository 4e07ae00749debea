"""The command line: one module per command, each of which parses, calls the library, and prints.

A mistake of the user ends in one line on stderr and exit code 2. Heavy imports stay inside the commands, so that
`--help` answers at once; the commands themselves are imported by `make_app`, so that each also runs as a module of its
own (`python -m nmf_scratch.cli.train`).
"""

from __future__ import annotations

import gc
from typing import Annotated

import typer

from nmf_scratch._version import __version__
from nmf_scratch.cli._common import run, stdout


def _print_version(asked: bool) -> None:
    if asked:
        stdout.print(__version__)
        raise typer.Exit


def _options(
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_print_version, help="Print the version and exit.")
    ] = False,
) -> None:
    """Non-negative matrix factorisation for recommender systems, fitted to the observed ratings only."""


def make_app() -> typer.Typer:
    """Put the commands together."""
    from nmf_scratch.cli import (
        compare,
        data,
        evaluate,
        explain,
        export,
        factors,
        items,
        plot,
        recommend,
        report,
        similar,
        train,
        tune,
        user,
    )

    app = typer.Typer(
        name="nmf-scratch",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_options)
    app.command()(train.train)
    app.command()(evaluate.evaluate)
    app.command()(compare.compare)
    app.command()(tune.tune)
    app.command()(recommend.recommend)
    app.command()(user.user)
    app.command()(items.items)
    app.command()(explain.explain)
    app.command()(similar.similar)
    app.command()(factors.factors)
    app.command()(export.export)
    app.command()(report.report)
    app.add_typer(plot.app, name="plot")
    app.add_typer(data.app, name="data")
    return app


def main() -> None:
    """Entry point of the console script."""
    gc.set_threshold(
        100_000
    )  # libraries make many objects that stay: looking through them takes a fifth of a short command
    run(make_app())
