"""What the commands that draw share: where figures go, in which format and colours, and what is said of each."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nmf_scratch.cli._common import new_table, print_json, stdout
from nmf_scratch.cli._runs import make_folder

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from rich.table import Table


class Format(StrEnum):
    """File formats of figures."""

    png = "png"
    svg = "svg"


OutputOption = Annotated[
    Path | None, typer.Option("--output", "-o", help="Folder for the figures.", show_default="under runs")
]
FormatOption = Annotated[Format, typer.Option("--format", help="Pixels, or scalable lines.")]
DarkOption = Annotated[bool, typer.Option("--dark", help="Light ink on dark paper.")]


def save_figures(
    figures: Iterable[tuple[str, Figure]], folder: Path, form: Format, *, dark: bool, as_json: bool
) -> None:
    """Draw and write figures one after the other, then say which file shows what."""
    tell_figures(write_figures(figures, folder, form, dark=dark), folder, as_json=as_json)


def tell_figures(shown: list[dict[str, str]], folder: Path, *, as_json: bool) -> None:
    """Say which file shows what, in a table or in JSON."""
    if as_json:
        print_json({"figures": shown})
    else:
        stdout.print(table_of(shown, folder))


def write_figures(
    figures: Iterable[tuple[str, Figure]], folder: Path, form: Format = Format.png, *, dark: bool = False
) -> list[dict[str, str]]:
    """Draw and write figures one after the other.

    Parameters
    ----------
    figures : iterable of (str, Figure)
        Names (of files, without suffix) and figures; a generator draws each only when its turn comes, in the theme
        asked for.
    folder : Path
        Made if needed.
    form : Format
        PNG or SVG.
    dark : bool
        Whether to draw light on dark.

    Returns
    -------
    list of dict
        Name, file and text of each.
    """
    from nmf_scratch.plots.style import save_figure, use_theme

    make_folder(folder)
    shown = []
    with use_theme("dark" if dark else "light"):
        for name, figure in figures:
            path = folder / f"{name}.{form.value}"
            shown.append({"figure": name, "file": str(path), "text": save_figure(figure, path)})
    return shown


def table_of(shown: list[dict[str, str]], folder: Path) -> Table:
    """Return a table of what `write_figures` wrote."""
    table = new_table(f"{len(shown)} figures in {folder}", show_lines=True)
    table.add_column("file")
    table.add_column("what it shows", overflow="fold")
    for row in shown:
        table.add_row(Path(row["file"]).name, row["text"])
    return table
