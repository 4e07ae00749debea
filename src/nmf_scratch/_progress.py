"""Progress bars on stderr where that is a terminal, in HTML in a notebook: over epochs, and over the bytes of files."""

from __future__ import annotations

import math
import sys
from html import escape
from time import monotonic
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from nmf_scratch._console import PlainConsole, visible

if TYPE_CHECKING:
    from nmf_scratch.history import EpochRecord

COMPILING = "compiling kernels …"

PATIENCE = 2.0
"""A file that is read or written within so many seconds needs no bar."""


class EpochProgress:
    """Progress bar that advances with every epoch; use it as a context manager and pass it as a callback.

    Parameters
    ----------
    total : int
        Epochs to come, over all fits.
    description : str
        What is being done, shown in front of the bar.
    """

    def __init__(self, total: int, description: str) -> None:
        console = PlainConsole(stderr=True)
        kind = _InNotebook if console.is_jupyter else Progress
        self._progress = kind(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[error]}"),
            TimeRemainingColumn(),
            console=console,
            disable=not (console.is_terminal or console.is_jupyter),
            transient=True,
        )
        self._task = self._progress.add_task(visible(description), total=total, error=COMPILING)

    def __enter__(self) -> Self:
        if not self._progress.disable:  # some versions of rich end even a hidden bar with an empty line
            self._progress.start()
            _shown.append(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._progress.disable:
            self._progress.stop()
            _shown.remove(self)

    def __call__(self, record: EpochRecord, factors: Any) -> None:
        """Advance by one epoch and show its error (validation where there is one)."""
        self.tell(record)

    def tell(self, record: EpochRecord, description: str | None = None) -> None:
        """Advance by one epoch; change the text in front of the bar where one is given."""
        error = record.train_rmse if math.isnan(record.valid_rmse) else record.valid_rmse
        self._progress.update(
            self._task, advance=int(record.epoch > 0), error=f"RMSE {error:.4f}", description=description
        )

    def reach(self, completed: int, description: str, error: str | None = None) -> None:
        """Move the bar to a number of epochs (a fit may have stopped early) and change the texts around it."""
        self._progress.update(self._task, completed=completed, description=description)
        if error is not None:
            self._progress.update(self._task, error=error)


class _InNotebook(Progress):
    """The same bar in HTML. The one of rich needs widgets, and shows nothing where they are not installed."""

    def start(self) -> None:
        """Show the bar."""
        from IPython.display import HTML, display

        self._page, self._told = HTML(self._html()), monotonic()  # type: ignore[no-untyped-call]
        self._handle: Any = display(self._page, display_id=True)  # type: ignore[no-untyped-call]

    def stop(self) -> None:
        """Leave the bar as it is."""
        self._show()

    def update(self, *args: Any, **kwargs: Any) -> None:
        """Change the bar, ten times a second at most."""
        super().update(*args, **kwargs)
        if monotonic() - self._told > 0.1:
            self._show()

    def _show(self) -> None:
        self._told, self._page.data = monotonic(), self._html()
        self._handle.update(self._page)

    def _html(self) -> str:
        (task,) = self.tasks
        numbers = f"{task.completed:,.0f}/{task.total:,.0f} {task.fields['error']}"
        bar = f'<progress max="{task.total}" value="{task.completed}"></progress>'
        return f"{escape(task.description)} {bar} {escape(numbers)}"


_shown: list[EpochProgress] = []
"""Bars that stand on the terminal now, the last one innermost."""


def mention_compiling() -> bool:
    """Write beside the bar, until the next epoch, what takes so long; say whether there is a bar."""
    for bar in _shown[-1:]:
        bar._progress.update(bar._task, error=COMPILING)
    return bool(_shown)


class ByteProgress:
    """A bar over bytes that stands once the work has outlasted `PATIENCE`; use it as a context manager.

    With the members that pooch asks of the bar of a download.

    Parameters
    ----------
    description : str
        What is being done, shown in front of the bar.
    """

    def __init__(self, description: str) -> None:
        self.total: float | None = None
        self._description, self._done = description, 0
        self._started: float | None = None
        self._bar: Progress | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def __call__(self, done: int, total: float | None) -> None:
        """Show that `done` of `total` bytes are done."""
        self._done, self.total, now = done, total, monotonic()
        self._started = self._started or now
        if self._bar is None and now - self._started > PATIENCE and sys.stderr.isatty():
            name = TextColumn("{task.description}", markup=False)
            columns = (name, BarColumn(), DownloadColumn(), TransferSpeedColumn())
            self._bar = Progress(*columns, console=PlainConsole(stderr=True), transient=True)
            self._bar.add_task(visible(self._description))
            self._bar.start()
        if self._bar is not None:
            self._bar.update(self._bar.task_ids[0], completed=done, total=total)

    def update(self, n_bytes: int) -> None:
        """Count bytes that have arrived."""
        self(self._done + n_bytes, self.total)

    def reset(self) -> None:
        """Start again from nothing; pooch does so before its last update."""
        self._done = 0

    def close(self) -> None:
        """Take the bar away, if there is one."""
        if self._bar is not None:
            self._bar.stop()
