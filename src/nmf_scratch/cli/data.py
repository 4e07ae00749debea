"""`nmf-scratch data`: which datasets there are, fetching one, and its numbers."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nmf_scratch._check import InputError
from nmf_scratch.cli._common import (
    SECOND_CHOICE,
    ColumnsOption,
    DataDirOption,
    DatasetOption,
    DecimalOption,
    DuplicatesOption,
    EncodingOption,
    ImplicitOption,
    ItemsOption,
    JsonOption,
    SeparatorOption,
    SkipBadOption,
    new_table,
    note,
    print_json,
    read_asked,
    run,
    stdout,
)
from nmf_scratch.cli._complete import complete_dataset

if TYPE_CHECKING:
    from nmf_scratch.readers.catalogue import Source

app = typer.Typer(help="List, download and describe datasets.", no_args_is_help=True, pretty_exceptions_enable=False)


@app.command("list")
def list_datasets(data_dir: DataDirOption = None, as_json: JsonOption = False) -> None:
    """List the datasets that are known by name, and which of them are at hand."""
    from nmf_scratch.readers.catalogue import CATALOGUE, default_data_dir

    folder = data_dir or default_data_dir()
    if as_json:
        print_json([{**asdict(source), "path": _where(folder, name)} for name, source in CATALOGUE.items()])
        return
    table = new_table(f"Datasets, and where they are in {folder}", caption=_licences(CATALOGUE.values()))
    for column in ("name", "ratings", "note", "at hand"):
        table.add_column(column, overflow="fold")
    for name, source in CATALOGUE.items():
        path = "built in" if name == SECOND_CHOICE else _where(folder, name)
        table.add_row(name, source.size, source.note, Path(path).name if path else "no")
    stdout.print(table)


def _where(folder: Path, name: str) -> str | None:
    return next((str(path) for path in (folder / name, folder / f"{name}.zip") if path.exists()), None)


def _licences(sources: Iterable[Source]) -> str:
    """Name each licence once, with what comes under it."""
    names: dict[str, list[str]] = {}
    for source in sources:
        names.setdefault(source.licence, []).append(source.name)
    return "\n".join(f"{', '.join(under)}: {licence}" for licence, under in names.items())


@app.command()
def download(
    name: Annotated[str, typer.Argument(help="A name from `nmf-scratch data list`.", autocompletion=complete_dataset)],
    data_dir: DataDirOption = None,
) -> None:
    """Download a dataset from GroupLens, check it, and unpack it."""
    from nmf_scratch.readers.catalogue import download as fetch

    folder = fetch(name, data_dir, report=note)
    note(f"{name} is in {folder}")


@app.command()
def stats(
    name: Annotated[
        str | None,
        typer.Argument(help="The dataset, if --dataset does not say it.", autocompletion=complete_dataset),
    ] = None,
    dataset: DatasetOption = None,
    columns: ColumnsOption = None,
    separator: SeparatorOption = None,
    encoding: EncodingOption = "utf-8",
    decimal: DecimalOption = ".",
    items: ItemsOption = None,
    duplicates: DuplicatesOption = None,
    skip_bad: SkipBadOption = False,
    implicit: ImplicitOption = False,
    data_dir: DataDirOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show the numbers of a dataset: size, density, ratings, long tail."""
    options = locals()
    if name is not None and dataset is not None:
        raise InputError(f"data stats {name} --dataset {dataset} names two datasets: leave one out")
    options["dataset"] = dataset or name
    from nmf_scratch.data.statistics import describe

    data = read_asked(options)
    numbers = describe(data)
    if as_json:
        print_json(asdict(numbers))
        return
    table = new_table(data.name, show_header=False)
    for label, text in numbers.rows():
        table.add_row(label, text)
    stdout.print(table)


if __name__ == "__main__":
    run(app)
