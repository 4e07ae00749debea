"""`nmf-scratch plot predictions`: where a trained model is right and wrong, evaluated on ratings it has not seen.

The model of a run is fitted to all ratings, so there are none left to test it on. They are in its file, though: one
part in --folds of them is held out, and a copy with the same parameters and seed, fitted to the others, takes the test.
The explanation is the model's own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from nmf_scratch._check import InputError
from nmf_scratch.cli._common import JsonOption, note, run_alone
from nmf_scratch.cli._drawing import DarkOption, Format, FormatOption, OutputOption, save_figures
from nmf_scratch.cli._ids import known_item, known_user
from nmf_scratch.cli._runs import RUNS, ModelOption, load_model

if TYPE_CHECKING:
    from nmf_scratch.evaluation.diagnosis import HeldOut
    from nmf_scratch.model import NMF


def predictions(
    model: ModelOption = None,
    user: Annotated[str | None, typer.Option(help="Whose score to explain.", show_default="a typical user")] = None,
    item: Annotated[str | None, typer.Option(help="Of what.", show_default="their first recommendation")] = None,
    folds: Annotated[int, typer.Option(min=2, help="One part in so many is held out.")] = 5,
    output: OutputOption = None,
    form: FormatOption = Format.png,
    dark: DarkOption = False,
    as_json: JsonOption = False,
) -> None:
    """Draw errors, calibration, lists and one explanation of a trained model, evaluated on ratings held out for it."""
    from nmf_scratch.plots.predictions import prediction_figures

    trained, path = load_model(model, RUNS)
    asked = _pair(trained, user, item)
    held_out = _hold_out(trained, folds)
    figures = prediction_figures(*held_out, explanation=trained.explain(*asked))
    save_figures(figures, output or path.parent / "figures", form, dark=dark, as_json=as_json)


def _pair(model: NMF, user: str | None, item: str | None) -> tuple[Any, Any]:
    """Return whose score of what to explain, made up for where it was not said."""
    from nmf_scratch.evaluation.diagnosis import typical_pair

    if user is None:
        if item is not None:
            raise InputError(f"--item {item} needs --user: whose score is to be explained?")
        return typical_pair(model)
    who = known_user(user, model)
    if item is None:
        return who, model.recommend(who, n=1)["item"].iloc[0]
    return who, known_item(item, model)


def _hold_out(model: NMF, folds: int) -> HeldOut:
    """Fit a copy to a part of the ratings, with a progress bar, and say so."""
    from nmf_scratch._progress import EpochProgress
    from nmf_scratch.evaluation.diagnosis import hold_out

    with EpochProgress(model.epochs(), f"fit without 1 part in {folds}") as bar:
        held_out = hold_out(model, n_folds=folds, callbacks=(bar,))
    note(
        f"evaluated on {len(held_out.test):,} ratings, 1 part in {folds} of the model's own, by a copy with the same "
        f"parameters that was fitted to the other {len(held_out.train):,}"
    )
    return held_out


if __name__ == "__main__":
    run_alone(predictions)
