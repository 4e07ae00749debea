"""Progress bars for what takes long before training begins: fetching an archive, reading a large file.

They are drawn on stderr, only where that is a terminal, and taken away at the end. rich is imported when the first bar
is drawn.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from nmf_scratch.readers.files import Progress

PATIENCE = 2.0
"""A file that is read within so many seconds needs no bar."""


class ProgressBar:
    """A rich progress bar with the four members that pooch asks of one."""

    def __init__(self, name: str) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

        columns = (TextColumn(name), BarColumn(), DownloadColumn(), TransferSpeedColumn())
        console = Console(stderr=True)
        self._progress = Progress(*columns, console=console, disable=not console.is_terminal, transient=True)
        self._task = self._progress.add_task(name, total=None)

    @property
    def total(self) -> float | None:
        """Bytes to come, None while unknown."""
        return self._progress.tasks[0].total

    @total.setter
    def total(self, n_bytes: float) -> None:
        self._progress.start()
        self._progress.update(self._task, total=n_bytes)

    def update(self, n_bytes: float) -> None:
        """Count bytes that have arrived."""
        self._progress.advance(self._task, n_bytes)

    def reset(self) -> None:
        """Start again from nothing; pooch does so before its last update."""
        self._progress.update(self._task, completed=0)

    def close(self) -> None:
        """Take the bar away."""
        self._progress.stop()


class ReadingBar:
    """A callback of the readers (`files.Progress`) that draws a bar once reading has outlasted `PATIENCE`."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._started: float | None = None
        self._bar: ProgressBar | None = None

    def __call__(self, done: int, total: int) -> None:
        """Show that `done` of `total` bytes have been read."""
        now = time.monotonic()
        self._started = self._started or now
        if self._bar is None and now - self._started > PATIENCE and sys.stderr.isatty():
            self._bar = ProgressBar(self._name)
            self._bar.total = total
        if self._bar is not None:
            self._bar.reset()
            self._bar.update(done)

    def close(self) -> None:
        """Take the bar away, if there is one."""
        if self._bar is not None:
            self._bar.close()


@contextmanager
def reading_bar(name: str) -> Iterator[Progress]:
    """Offer a callback for the readers in the block."""
    bar = ReadingBar(name)
    try:
        yield bar
    finally:
        bar.close()
