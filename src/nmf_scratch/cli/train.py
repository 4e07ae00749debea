"""`nmf-scratch train`: cross-validate, refit on everything, and leave a run folder to recommend from.

A run folder holds

    model.safetensors               the model refitted on all ratings
    metrics.json            scores of the solver and the baselines, per fold and on average
    history.csv             one line per epoch of the refit
    history-validation.csv  the same for a fit that held as much out as a fold does
    convergence.png         both, drawn
    run.json                what reproduces it: options, seed, versions, hash of the data

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
from typing import TYPE_CHECKING, Any

from nmf_scratch._version import __version__
from nmf_scratch.cli._common import (
    RANK,
    SOLVER,
    WEIGHTING,
    AlphaBiasOption,
    AlphaOption,
    ColumnsOption,
    DataDirOption,
    DatasetOption,
    EncodingOption,
    ExactBelowOption,
    FoldsOption,
    ItemsOption,
    JsonOption,
    L1RatioOption,
    LossOption,
    MaxIterOption,
    RankOption,
    RunsOption,
    SeedOption,
    SeparatorOption,
    SolverOption,
    WeightingOption,
    describe_line,
    make_model,
    make_splitter,
    model_name,
    note,
    print_json,
    read_dataset,
    run_alone,
    score_all,
    score_table,
    stdout,
    summary,
)
from nmf_scratch.cli._resume import (
    CheckpointOption,
    ResumeOption,
    keep_refit,
    kept_scores,
    what_is_kept,
    with_scores,
)
from nmf_scratch.cli._runs import MODEL, RUNS, new_run

if TYPE_CHECKING:
    import pandas as pd

    from nmf_scratch._progress import EpochProgress
    from nmf_scratch.checkpoint import Checkpoint
    from nmf_scratch.data.dataset import Dataset
    from nmf_scratch.model import NMF

NO_PART_OF_A_RUN = ("output", "as_json", "checkpoint", "resume")
"""Options that change nothing of what a run holds."""


def train(
    dataset: DatasetOption = None,
    solver: SolverOption = SOLVER,
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
    columns: ColumnsOption = None,
    separator: SeparatorOption = None,
    encoding: EncodingOption = "utf-8",
    items: ItemsOption = None,
    data_dir: DataDirOption = None,
    checkpoint: CheckpointOption = None,
    resume: ResumeOption = False,
    output: RunsOption = RUNS,
    as_json: JsonOption = False,
) -> None:
    """Cross-validate a solver beside the baselines, refit it on all ratings, and save the run."""
    options = {name: value for name, value in locals().items() if name not in NO_PART_OF_A_RUN}
    model = make_model(solver, n_components, alpha, alpha_bias, max_iter, seed, loss, weighting, l1_ratio, exact_below)
    data = read_dataset(
        dataset, data_dir=data_dir, columns=columns, separator=separator, encoding=encoding, items=items
    )
    options["dataset"] = dataset or data.name  # what the default turned out to be
    splitter = make_splitter(folds, data, seed)
    note(describe_line(data))
    keeping = keep_refit(checkpoint, resume, {"folds": folds, "model": repr(model), "ratings": data_hash(data)})
    with new_run(output, f"{data.name}-{solver}") as (partial, folder), what_is_kept(checkpoint):
        scores = kept_scores(keeping) or score_all(model, data, splitter)
        if not as_json:
            stdout.print(score_table(scores, f"{data.name}, folds: {folds}"))
        write_run(partial, model, data, scores, options, with_scores(keeping, scores))
    if checkpoint is not None:
        checkpoint.unlink(missing_ok=True)  # the run is complete, and holds all of it
    if as_json:
        print_json({"run": str(folder), "dataset": data.name, "mean": summary(scores)})
    else:
        note(f"saved to {folder} (see convergence.png)\nnext: {_next_command(data.ratings['user'].iloc[0], output)}")


def _next_command(user: Any, output: Path) -> str:
    """Word the command that recommends, in the way that this one was called."""
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

    means, n_folds = summary(scores), len(scores[model_name(model)])
    fitted, held_out = _refit(model, data, n_folds, checkpoint)
    fitted.save(folder / MODEL)
    fitted.history_.to_frame().to_csv(folder / "history.csv", index=False)
    held_out.history_.to_frame().to_csv(folder / "history-validation.csv", index=False)
    title, bar = f"{model_name(model)}, on {data.name}", means["bias model"]["rmse"]
    figure = plot_convergence(fitted.history_, title=title, validation=held_out.history_, bar=bar)
    save_figure(figure, folder / "convergence.png")
    by_fold = {name: table.to_dict("list") for name, table in scores.items()}
    _write_json(folder / "metrics.json", {"mean": means, "by_fold": by_fold})
    _write_json(folder / "run.json", provenance(fitted, data, options))


def _refit(model: NMF, data: Dataset, n_folds: int, checkpoint: Checkpoint | None) -> tuple[NMF, NMF]:
    """Fit to all ratings; and once more, through all epochs, with as much held out as a fold holds."""
    from nmf_scratch._progress import EpochProgress

    epochs = model.epochs()
    watched = {"early_stopping": True, "patience": epochs, "validation_fraction": 1 / n_folds}
    with EpochProgress(2 * epochs, "refit on all ratings") as bar:
        if checkpoint is not None and checkpoint.saved is not None:
            bar.reach(checkpoint.saved.epoch, "refit on all ratings, resumed")
        fitted = _fit(model, data, bar, checkpoint)
        bar.reach(epochs, "convergence on held-out ratings")
        held_out = _fit(model.clone(**watched), data, bar)
    return fitted, held_out


def _fit(model: NMF, data: Dataset, bar: EpochProgress, checkpoint: Checkpoint | None = None) -> NMF:
    fitted = model.clone(callbacks=(bar,)).fit(data, checkpoint=checkpoint)
    if fitted.stop_reason_ == "interrupted":
        raise KeyboardInterrupt  # a fit that Ctrl-C ends keeps what it has, which is no run to save
    return fitted


def provenance(model: NMF, data: Dataset, options: dict[str, Any]) -> dict[str, Any]:
    """Return what somebody needs to get the same run again."""
    given = {name: value for name, value in options.items() if value is not None}
    flags = [f"--{name.replace('_', '-')} {shlex.quote(str(value))}" for name, value in given.items()]
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
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False, default=str) + "\n", encoding="utf-8")


if __name__ == "__main__":
    run_alone(train)
