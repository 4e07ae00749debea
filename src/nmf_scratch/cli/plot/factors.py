"""`nmf-scratch plot factors`: what the factors of a trained model are about, and how much they are worth."""

from __future__ import annotations

from typing import Annotated

import typer

from nmf_scratch.cli._common import JsonOption, note, run_alone
from nmf_scratch.cli._drawing import DarkOption, Format, FormatOption, OutputOption, save_figures
from nmf_scratch.cli._runs import RUNS, ModelOption, load_model


def factors(
    model: ModelOption = None,
    n: Annotated[int, typer.Option("-n", help="Titles for each factor.")] = 5,
    seeds: Annotated[
        int, typer.Option(min=0, help="Fit so many times with other seeds, to see which factors come back.")
    ] = 0,
    output: OutputOption = None,
    form: FormatOption = Format.png,
    dark: DarkOption = False,
    as_json: JsonOption = False,
) -> None:
    """Draw the factors of a trained model: genres, titles, strength, usage, maps and, if asked for, stability."""
    from nmf_scratch.evaluation.diagnosis import training_ratings
    from nmf_scratch.fitted.factor_statistics import genre_lifts, stability
    from nmf_scratch.plots.factors import factor_figures

    trained, path = load_model(model, RUNS)
    if not len(genre_lifts(trained.fitted_)):
        note("no genres are known of the items: figures that need them are left out")
    table = stability(trained, training_ratings(trained), n_seeds=seeds) if seeds else None
    if table is None:
        note("stability needs further fits and is left out: ask for it with --seeds 5")
    figures = factor_figures(trained, stability=table, n_titles=n)
    save_figures(figures, output or path.parent / "figures", form, dark=dark, as_json=as_json)


if __name__ == "__main__":
    run_alone(factors)
