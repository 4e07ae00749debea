"""`nmf-scratch plot convergence`: whether training settled, and whether what it learned holds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from nmf_scratch.cli._common import JsonOption, note, run_alone
from nmf_scratch.cli._drawing import DarkOption, Format, FormatOption, OutputOption, save_figures
from nmf_scratch.cli._runs import RUNS, ModelOption, load_model

if TYPE_CHECKING:
    from nmf_scratch.model import NMF
from nmf_scratch.evaluation import BIAS_MODEL


def convergence(
    model: ModelOption = None,
    longer: Annotated[
        int, typer.Option(min=0, help="Hold the objective against that of a run of so many times as many epochs.")
    ] = 0,
    output: OutputOption = None,
    form: FormatOption = Format.png,
    dark: DarkOption = False,
    as_json: JsonOption = False,
) -> None:
    """Draw objective and error of a trained model, epoch by epoch."""
    from nmf_scratch.plots.convergence import plot_convergence
    from nmf_scratch.report.material import SCORES, VALIDATION, read_history, read_json

    nmf, path = load_model(model, RUNS)
    title = f"NMF by {nmf.solver_}, {nmf.W_.shape[1]} factors, on {len(nmf.user_ids_):,} users"
    validation = read_history(path.parent / VALIDATION)
    bar = read_json(path.parent / SCORES).get("mean", {}).get(BIAS_MODEL, {}).get("rmse")
    reference = _reference(nmf, longer) if longer else None
    drawn = {"validation": validation, "bar": bar, "reference": reference, "ranking": not nmf.predicts_ratings_}
    figures = ((name, plot_convergence(nmf.history_, title=title, **drawn)) for name in ("convergence",))
    save_figures(figures, output or path.parent / "figures", form, dark=dark, as_json=as_json)


def _reference(model: NMF, longer: int) -> float:
    """Return the lowest objective of a much longer run of a copy, with a progress bar."""
    from nmf_scratch._progress import EpochProgress
    from nmf_scratch.evaluation.diagnosis import training_ratings

    copy = model.clone(max_iter=longer * model.max_iter_, tol=0.0, early_stopping=False)
    with EpochProgress(copy.epochs(), f"a run of {longer} times as many epochs") as bar:
        copy = copy.clone(callbacks=(bar,))
        copy.fit(training_ratings(model), sample_weight=model.fitted_.ratings.weights)
    note(
        f"the longer run of {copy.n_iter_:,} epochs ended with an objective of {copy.history_.records[-1].objective:g}"
    )
    return min(record.objective for record in copy.history_.records)


if __name__ == "__main__":
    run_alone(convergence)
