"""`nmf-scratch evaluate`: how well a solver predicts ratings that it has not seen, or how good its lists are."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from nmf_scratch._check import InputError, check_number
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
)
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
    summary,
)


def evaluate(
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
    ranking: Annotated[
        bool,
        typer.Option(
            "--ranking",
            help="Evaluate lists instead, beside popularity, item-kNN, EASE and NMF for ranking.",
        ),
    ] = False,
    implicit: ImplicitOption = False,
    n: Annotated[int | None, typer.Option("-n", help="Length of the lists.", show_default="10")] = None,
    threshold: Annotated[
        float | None,
        typer.Option(help="Rating from which on an item was liked.", show_default="the mean training rating"),
    ] = None,
    columns: ColumnsOption = None,
    separator: SeparatorOption = None,
    encoding: EncodingOption = "utf-8",
    decimal: DecimalOption = ".",
    items: ItemsOption = None,
    duplicates: DuplicatesOption = None,
    skip_bad: SkipBadOption = False,
    data_dir: DataDirOption = None,
    as_json: JsonOption = False,
) -> None:
    """Cross-validate a solver beside the baselines (nothing is saved): RMSE and MAE, or ranking metrics."""
    options = locals()
    model, ranking = make_model(options), ranking or implicit
    length = _check_ranking(ranking, n, threshold)
    data = read_asked(options, counts=True if ranking else "--implicit")
    note(describe_line(data))
    splitter = make_splitter(folds, data, seed)
    title = f"{data.name}, folds: {folds}"
    about: dict[str, Any] = {"dataset": data.name, "folds": folds, "seed": seed}
    means: dict[str, Any]
    if ranking:
        models = {model_name(one): one for one in ([model] if implicit else [ranker(model), model])}
        scores = rank_all(models, data, splitter, length, liked_from(threshold, implicit))
        means, table = ranking_summary(scores), ranking_table(scores, f"{title}, lists of {length}")
        about |= {"k": length, "threshold": threshold}
    else:
        scores = score_all(model, data, splitter)
        means, table = summary(scores), score_table(scores, title)
    if as_json:
        by_fold = {name: plain(rows.to_dict("list")) for name, rows in scores.items()}
        print_json({**about, "mean": means, "by_fold": by_fold})
    else:
        stdout.print(table)


def _check_ranking(ranking: bool, n: int | None, threshold: float | None) -> int:
    """Return the length of the lists; refuse options that would have no effect."""
    for option, value in (("-n", n), ("--threshold", threshold)):
        if value is not None and not ranking:
            raise InputError(f"{option} {value:g} concerns lists: add --ranking, or leave it out")
    check_number("-n", length := 10 if n is None else n, minimum=1, integer=True)
    return length


if __name__ == "__main__":
    run_alone(evaluate)
