"""What the reports share: where they were measured, Markdown rows, and files that are never half written."""

from __future__ import annotations

import os
import platform
import sys
import time
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path

from matplotlib.figure import Figure

from nmf_scratch.plots import style as looks

SOURCE = Path(__file__).parent
RESULTS = SOURCE / "results"
QUICK_RESULTS = SOURCE.parent / "runs"
"""Quick runs are stored apart: they would overwrite hours of measuring."""

PACKAGES = ("nmf-scratch", "numba", "numpy")


def say(text: str) -> None:
    """Report progress: standard output is for results."""
    print(text, file=sys.stderr, flush=True)


def facts(command: str) -> dict[str, object]:
    """Return what a measurement is worth little without: command, date, machine and versions."""
    versions = {package: version(package) for package in PACKAGES}
    return {"command": command, "date": time.strftime("%Y-%m-%d"), "machine": machine(), "versions": versions}


def machine() -> str:
    """Return processor, number of processors, system and Python version."""
    return f"{processor()}, {os.cpu_count()} processors, {platform.system()}, Python {platform.python_version()}"


def processor() -> str:
    """Return the name of the processor, as far as the system tells."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def preface(about: dict) -> str:
    """Return who wrote a report, when, where and with what."""
    versions = ", ".join(f"{package} {number}" for package, number in about["versions"].items())
    return f"Written by `{about['command']}` on {about['date']}. Machine: {about['machine']}. Versions: {versions}."


def row(cells: Iterable[object]) -> str:
    """Return one line of a Markdown table."""
    return f"| {' | '.join(map(str, cells))} |"


def table(n_left: int, heads: list[str], rows: Iterable[Iterable[object]]) -> str:
    """Return a Markdown table whose first columns are text, the others numbers."""
    rule = ["---"] * n_left + ["---:"] * (len(heads) - n_left)
    return "\n".join(map(row, (heads, rule, *rows)))


def write(path: Path, text: str) -> None:
    """Write a file in one stroke: the old one or the new one, never half of it."""
    part = path.with_suffix(path.suffix + ".part")
    part.write_text(text, encoding="utf-8")
    part.replace(path)


def write_figure(path: Path, figure: Figure) -> None:
    """Write a figure likewise."""
    part = path.with_suffix(".part" + path.suffix)
    looks.save_figure(figure, part)
    part.replace(path)
