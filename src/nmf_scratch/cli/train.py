"""`nmf-scratch train`: cross-validate, refit on everything, and leave a run folder to recommend from.

A run folder holds

    model.safetensors       the model that predicts ratings, refitted on all of them
    ranking.safetensors     the model that puts lists in order, fitted to all ratings, too
    metrics.json            scores of the solver and the baselines, per fold and on average
    history.csv             one line per epoch of the refit
    history-validation.csv  the same for a fit that held as much out as a fold does
    convergence.png         both, drawn
    users.csv               what the data knows of the users, if anything
    run.json                what reproduces it: options, seed, versions, hash of the data

With --implicit there is no scale to predict: the run has no model.safetensors and nothing held out, and its scores are
those of lists.

It is built under a temporary name and renamed when complete; `latest` then points to it. Whatever goes wrong on the
way, a mistake, a bug or Ctrl-C, leaves nothing behind.

With --checkpoint, the refit on all ratings is kept in a file while it lasts, with the scores of the cross-validation
before it. The same command with --resume then goes on where it was, and leaves the run that it would have left without
the interruption. What comes before (cross-validation) or after (the fit with a part held out) starts anew.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shlex
import sys
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nmf_scratch._archive import write_file
from nmf_scratch._version import __version__
from nmf_scratch.cli._common import (
    RANK,
    WEIGHTING,
    AlphaBiasOption,
    AlphaOption,
    ColumnsOption,
    DataDirOption,
    DatasetOption,
    DecimalOption,
    DuplicatesOption,
    EncodingOption,
    ExactBelowOption,
    FoldsOption,
    ImplicitOption,
    ItemsOption,
    JsonOption,
    L1RatioOption,
    LossOption,
    MaxIterOption,
    RankOption,
    RunsOption,
    SeedOption,
    SeparatorOption,
    SkipBadOption,
    SolverOption,
    WeightingOption,
    describe_line,
    make_model,
    make_splitter,
    note,
    print_json,
    read_asked,
    run_alone,
    stdout,
    stop_writing,
)
from nmf_scratch.cli._resume import (
    CheckpointOption,
    ResumeOption,
    keep_refit,
    kept_scores,
    what_is_kept,
    with_scores,
)
from nmf_scratch.cli._runs import MODEL, RANKING, RUNS, USERS, new_run
from nmf_scratch.cli._scores import (
    liked_from,
    model_name,
    plain,
    rank_all,
    ranker,
    ranking_summary,
    ranking_table,
    score_all,
    score_table,
    solver_name,
    summary,
)
from nmf_scratch.evaluation import BIAS_MODEL, POPULARITY

if TYPE_CHECKING:
    import pandas as pd

    from nmf_scratch._progress import EpochProgress
    from nmf_scratch.checkpoint import Checkpoint
    from nmf_scratch.data.dataset import Dataset
    from nmf_scratch.model import NMF

NO_PART_OF_A_RUN = ("output", "name", "latest", "as_json", "checkpoint", "resume")
"""Options that change nothing of what a run holds."""


def train(
    dataset: DatasetOption = None,
    solver: SolverOption = None,
    n_components: RankOption = RANK,
    folds: FoldsOption = "5",
    seed: SeedOption = 0,
    alpha: AlphaOption = None,
    alpha_bias: AlphaBiasOption = None,
    weighting: WeightingOption = WEIGHTING,
    l1_ratio: L1RatioOption = 0.0,
    exact_below: ExactBelowOption = 0,
    loss: LossOption = 2.0,
    max_iter: MaxIterOption = None,
    implicit: ImplicitOption = False,
    columns: ColumnsOption = None,
    separator: SeparatorOption = None,
    encoding: EncodingOption = "utf-8",
    decimal: DecimalOption = ".",
    items: ItemsOption = None,
    duplicates: DuplicatesOption = None,
    skip_bad: SkipBadOption = False,
    data_dir: DataDirOption = None,
    checkpoint: CheckpointOption = None,
    resume: ResumeOption = False,
    output: RunsOption = RUNS,
    name: Annotated[str | None, typer.Option(help="Name of the run.", show_default="data, solver and time")] = None,
    latest: Annotated[
        bool, typer.Option("--latest/--no-latest", help="Whether commands that name no run mean this one from now on.")
    ] = True,
    as_json: JsonOption = False,
) -> None:
    """Cross-validate a solver beside the baselines, refit it on all ratings, and save the run with a ranking model."""
    options = {name: value for name, value in locals().items() if name not in NO_PART_OF_A_RUN}
    model = make_model(options)
    data = read_asked(options, counts=implicit or "--implicit")
    options["dataset"] = dataset or data.name  # what the default turned out to be
    splitter = make_splitter(folds, data, seed)
    note(describe_line(data))
    keeping = keep_refit(checkpoint, resume, {"folds": folds, "model": repr(model), "ratings": data_hash(data)})
    run = new_run(output, f"{data.name}-{solver_name(model)}", name=name, latest=latest)
    with run as (partial, folder), what_is_kept(checkpoint):
        scores = kept_scores(keeping) or _evaluate(model, data, splitter)
        write_run(partial, model, data, scores, options, with_scores(keeping, scores))
    if checkpoint is not None:
        checkpoint.unlink(missing_ok=True)  # the run is complete, and holds all of it
    _show(model, scores, folder, f"{data.name}, folds: {folds}", data.name if as_json else None)
    if not as_json:
        following = _next_command(data.ratings["user"].iloc[0], output, None if latest else folder)
        note(f"saved to {folder} (see convergence.png)\nnext: {following}")


def _show(model: NMF, scores: dict[str, pd.DataFrame], folder: Path, title: str, json_of: str | None) -> None:
    """Print the scores; a run that is saved does not fail because they cannot be shown."""
    try:
        if json_of is not None:
            print_json({"run": str(folder), "dataset": json_of, "mean": _means(model, scores)})
            sys.stdout.flush()
        else:
            stdout.print((score_table if model.task == "rating" else ranking_table)(scores, title))
    except OSError as error:
        stop_writing()
        note(f"the scores cannot be shown ({error.strerror}); they are in {folder / 'metrics.json'}")


def _evaluate(model: NMF, data: Dataset, splitter: Any) -> dict[str, pd.DataFrame]:
    """Cross-validate the model and what it is held against: by errors, or by lists where there is no scale."""
    if model.task == "rating":
        return score_all(model, data, splitter)
    return rank_all(
        {model_name(model): model}, data, splitter, threshold=liked_from(None, implicit=True), baselines=[POPULARITY]
    )


def _means(model: NMF, scores: dict[str, pd.DataFrame]) -> dict[str, Any]:
    return summary(scores) if model.task == "rating" else ranking_summary(scores)


def _next_command(user: Any, output: Path, run: Path | None = None) -> str:
    """Word the command that recommends, in the way that this one was called; from a run, if it is not the latest."""
    if run is not None:
        return f"nmf-scratch recommend --model {shlex.quote(str(run / RANKING))} {shlex.quote(str(user))}"
    if "MAKELEVEL" in os.environ and output == RUNS:
        return f"make recommend USER={shlex.quote(str(user))}"
    where = "" if output == RUNS else f" --output {shlex.quote(str(output))}"
    return f"nmf-scratch recommend{where} {shlex.quote(str(user))}"


# --- what a run holds ------------------------------------------------------------------------------------------------


def write_run(
    folder: Path,
    model: NMF,
    data: Dataset,
    scores: dict[str, pd.DataFrame],
    options: dict[str, Any],
    checkpoint: Checkpoint | None = None,
) -> None:
    """Refit on everything and write the files of a run."""
    from nmf_scratch.plots.convergence import plot_convergence
    from nmf_scratch.plots.style import save_figure

    means, n_folds = _means(model, scores), len(scores[model_name(model)])
    fitted, *others = _refit(model, data, n_folds, checkpoint)
    write_file(folder / "history.csv", fitted.history_.to_frame().to_csv(index=False))
    drawn: dict[str, Any] = {"title": f"{model_name(model)}, on {data.name}", "ranking": not others}
    if others:
        held_out, ranking = others
        write_file(folder / "history-validation.csv", held_out.history_.to_frame().to_csv(index=False))
        drawn |= {"validation": held_out.history_, "bar": means[BIAS_MODEL]["rmse"]}
        fitted.save(folder / MODEL)
        ranking.save(folder / RANKING)
    else:
        fitted.save(folder / RANKING)
    try:
        save_figure(plot_convergence(fitted.history_, **drawn), folder / "convergence.png")
    except Exception as error:  # fonts, backends, names: a picture is not worth a training
        note(f"convergence.png cannot be drawn ({type(error).__name__}: {error}); the run is saved without it")
    if data.users is not None:
        write_file(folder / USERS, data.users.to_csv(index=False))
    by_fold = {name: plain(table.to_dict("list")) for name, table in scores.items()}
    _write_json(folder / "metrics.json", {"mean": means, "by_fold": by_fold})
    _write_json(folder / "run.json", provenance(fitted, data, options))


def _refit(model: NMF, data: Dataset, n_folds: int, checkpoint: Checkpoint | None) -> list[NMF]:
    """Fit to all ratings; a model of ratings also with a part held out as large as a fold, and one for lists beside."""
    from nmf_scratch._progress import EpochProgress

    fits, epochs = {"refit on all ratings": model}, model.epochs()
    if model.task == "rating":
        watched = {"early_stopping": True, "patience": epochs, "validation_fraction": 1 / n_folds}
        fits |= {"convergence on held-out ratings": model.clone(**watched), "a model for lists": ranker(model)}
    fitted: list[NMF] = []
    with EpochProgress(sum(one.epochs() for one in fits.values()), "refit on all ratings") as bar:
        before = 0
        if checkpoint is not None and checkpoint.saved is not None:
            bar.reach(checkpoint.saved.epoch, "refit on all ratings, resumed")
        for what, one in fits.items():
            if fitted:
                bar.reach(before, what)
            fitted.append(_fit(one, data, bar, None if fitted else checkpoint))
            before += one.epochs()
    return fitted


def _fit(model: NMF, data: Dataset, bar: EpochProgress, checkpoint: Checkpoint | None = None) -> NMF:
    fitted = model.clone(callbacks=(bar,)).fit(data, checkpoint=checkpoint)
    if fitted.stop_reason_ == "interrupted":
        raise KeyboardInterrupt  # a fit that Ctrl-C ends keeps what it has, which is no run to save
    return fitted


def provenance(model: NMF, data: Dataset, options: dict[str, Any]) -> dict[str, Any]:
    """Return what somebody needs to get the same run again."""
    given = {name: value for name, value in options.items() if value is not None and value is not False}
    values = {name: "" if value is True else f" {shlex.quote(str(value))}" for name, value in given.items()}
    flags = [f"--{name.replace('_', '-')}{value}" for name, value in values.items()]
    packages = ("numpy", "numba", "scipy", "pandas")
    return {
        "command": " ".join(["nmf-scratch train", *flags]),
        "typed": shlex.join(sys.argv[1:]),
        "options": given,
        "dataset": {
            "name": data.name,
            "source": data.source,
            "n_ratings": len(data.ratings),
            "sha256": data_hash(data),
        },
        "seed": model.key_,
        "resolved": {"alpha": model.alpha_, "alpha_bias": model.alpha_bias_, "max_iter": model.max_iter_},
        "stop_reason": model.stop_reason_,
        "versions": {
            "nmf-scratch": __version__,
            "python": platform.python_version(),
            **{name: version(name) for name in packages},
        },
        "machine": f"{platform.system()} {platform.machine()}",
    }


def data_hash(data: Dataset) -> str:
    """Return the SHA-256 of the (user, item, rating) table."""
    digest = hashlib.sha256()
    for column in ("user", "item", "rating"):
        values = data.ratings[column]
        digest.update(
            values.to_numpy().tobytes() if values.dtype.kind in "iuf" else "\0".join(map(str, values)).encode()
        )
    return digest.hexdigest()


def _write_json(path: Path, content: Any) -> None:
    write_file(path, json.dumps(content, indent=2, ensure_ascii=False, default=str) + "\n")


if __name__ == "__main__":
    run_alone(train)
