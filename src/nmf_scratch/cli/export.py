"""`nmf-scratch export`: the factors of a trained model as tables, for other tools."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from nmf_scratch.cli._common import JsonOption, note, print_json, run_alone
from nmf_scratch.cli._runs import find_model


def export(
    table_format: Annotated[str, typer.Option("--format", "-f", help="csv, or parquet (needs pyarrow).")] = "csv",
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Folder of the tables.", show_default="the run's folder")
    ] = None,
    run: Annotated[
        str | None,
        typer.Option(help="A run: its folder, its name under runs/, or a model file.", show_default="the latest run"),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace tables that exist.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Write user_factors and item_factors: ids, titles, biases and factors, one row each.

    factor_0 is the first factor. A prediction is the user's bias, plus the item's, plus the sum of the products of
    their factors, clipped to the rating scale.
    """
    from nmf_scratch._progress import ByteProgress
    from nmf_scratch.fitted.export import export_factors
    from nmf_scratch.model import NMF

    path = find_model(run)
    model = NMF.load(path, mmap=True)
    with ByteProgress("writing tables") as bar:
        files = export_factors(
            model.fitted_, output or path.parent, format=table_format, overwrite=overwrite, progress=bar
        )
    if as_json:
        print_json(_summary(path, table_format, files, model))
    else:
        note(f"model: {path}")
        for file, ids in zip(files, (model.user_ids_, model.item_ids_), strict=True):
            note(f"{file}: {len(ids):,} rows, {model.W_.shape[1]} factors")


def _summary(path: Path, table_format: str, files: list[Path], model: Any) -> dict[str, Any]:
    rows = {"users": len(model.user_ids_), "items": len(model.item_ids_)}
    tables = dict(zip(rows, map(str, files), strict=True))
    return {"model": str(path), "format": table_format, **tables, "rows": rows, "n_components": model.W_.shape[1]}


if __name__ == "__main__":
    run_alone(export)
