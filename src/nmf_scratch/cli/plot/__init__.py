"""`nmf-scratch plot`: one command per family of figures, each in a module of its own."""

from __future__ import annotations

import typer

from nmf_scratch.cli.plot.animations import animations
from nmf_scratch.cli.plot.convergence import convergence
from nmf_scratch.cli.plot.dataset import dataset
from nmf_scratch.cli.plot.factors import factors
from nmf_scratch.cli.plot.predictions import predictions

app = typer.Typer(
    help="Draw figures: of the data, a run, a model, an experiment.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.command()(dataset)
app.command()(convergence)
app.command()(factors)
app.command()(predictions)
app.command()(animations)
