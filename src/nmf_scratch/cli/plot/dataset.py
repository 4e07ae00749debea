"""`nmf-scratch plot dataset`: what a data set looks like, before anything is learnt from it."""

from __future__ import annotations

from pathlib import Path

from nmf_scratch.cli._common import (
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
    note,
    read_asked,
    run_alone,
)
from nmf_scratch.cli._drawing import DarkOption, Format, FormatOption, OutputOption, save_figures


def dataset(
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
    output: OutputOption = None,
    form: FormatOption = Format.png,
    dark: DarkOption = False,
    as_json: JsonOption = False,
) -> None:
    """Draw a dataset: ratings, long tail, sparsity, time, genres, users, and which items are alike."""
    options = locals()
    from nmf_scratch.data.statistics import lacking
    from nmf_scratch.plots.dataset import dataset_figures

    data = read_asked(options)
    if missing := lacking(data):
        note(f"{data.name} does not say {' or '.join(missing)}: figures that need it are left out")
    folder = output or Path("runs", "figures", data.name)
    save_figures(dataset_figures(data), folder, form, dark=dark, as_json=as_json)


if __name__ == "__main__":
    run_alone(dataset)
