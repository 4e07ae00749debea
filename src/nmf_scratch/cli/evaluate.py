"""`nmf-scratch evaluate`: how well a solver predicts ratings that it has not seen."""

from __future__ import annotations

from nmf_scratch.cli._common import (
    AlphaBiasOption,
    AlphaOption,
    ColumnsOption,
    DataDirOption,
    DatasetOption,
    EncodingOption,
    FoldsOption,
    ItemsOption,
    JsonOption,
    MaxIterOption,
    RankOption,
    SeedOption,
    SeparatorOption,
    SolverOption,
    describe_line,
    make_model,
    make_splitter,
    note,
    print_json,
    read_dataset,
    run_alone,
    score_all,
    score_table,
    stdout,
    summary,
)


def evaluate(
    dataset: DatasetOption = None,
    solver: SolverOption = "sgd",
    n_components: RankOption = 40,
    folds: FoldsOption = "5",
    seed: SeedOption = 0,
    alpha: AlphaOption = None,
    alpha_bias: AlphaBiasOption = None,
    max_iter: MaxIterOption = None,
    columns: ColumnsOption = None,
    separator: SeparatorOption = None,
    encoding: EncodingOption = "utf-8",
    items: ItemsOption = None,
    data_dir: DataDirOption = None,
    as_json: JsonOption = False,
) -> None:
    """Cross-validate a solver beside the baselines (RMSE and MAE; nothing is saved)."""
    model = make_model(solver, n_components, alpha, alpha_bias, max_iter, seed)
    data = read_dataset(
        dataset, data_dir=data_dir, columns=columns, separator=separator, encoding=encoding, items=items
    )
    note(describe_line(data))
    scores = score_all(model, data, make_splitter(folds, data, seed))
    if as_json:
        folds_of = {name: table.to_dict("list") for name, table in scores.items()}
        print_json({"dataset": data.name, "folds": folds, "seed": seed, "mean": summary(scores), "by_fold": folds_of})
    else:
        stdout.print(score_table(scores, f"{data.name}, folds: {folds}"))


if __name__ == "__main__":
    run_alone(evaluate)
