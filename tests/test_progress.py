import io

import numpy as np
import pytest
from problems import small_ratings
from rich.console import Console

from nmf_scratch import NMF, _progress
from nmf_scratch._progress import EpochProgress
from nmf_scratch.history import EpochRecord


def record(epoch, train=0.5, valid=np.nan):
    return EpochRecord(epoch, 0.1, 1.0, train, valid, np.nan)


@pytest.fixture
def terminal(monkeypatch):
    """Stand in for the terminal on stderr; its text is what has been drawn so far."""
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=100, color_system=None)
    monkeypatch.setattr(_progress, "Console", lambda stderr: console)
    return screen


def last_frame(screen):
    """Return the last drawing of the bar: it is drawn over itself, and wiped at the end."""
    return [line for line in screen.getvalue().replace("\r", "\n").splitlines() if "/" in line][-1]


def test_it_advances_with_every_epoch_but_not_with_the_start(terminal):
    with EpochProgress(7, "folding") as bar:
        for epoch in range(4):
            bar(record(epoch, train=0.5 + epoch), None)
    frame = last_frame(terminal)
    assert "folding" in frame
    assert "3/7" in frame
    assert "RMSE 3.5000" in frame


def test_the_validation_error_counts_where_there_is_one(terminal):
    with EpochProgress(7, "folding") as bar:
        bar(record(1, train=0.25, valid=0.75), None)
    assert "RMSE 0.7500" in last_frame(terminal)


def test_before_the_first_epoch_it_says_what_takes_so_long(terminal):
    with EpochProgress(7, "folding"):
        pass
    assert "compiling" in last_frame(terminal)


def test_it_can_be_moved_on_when_a_fit_has_stopped_early(terminal):
    with EpochProgress(10, "fold 1") as bar:
        bar(record(1), None)
        bar.reach(5, "fold 2")
        bar(record(1), None)
    frame = last_frame(terminal)
    assert "fold 2" in frame
    assert "6/10" in frame


def test_it_never_asks_a_fit_to_stop():
    with EpochProgress(3, "fit") as bar:
        assert not bar(record(1), None)


def test_it_stops_drawing_when_the_fit_fails(terminal):
    with pytest.raises(RuntimeError, match="a bug"), EpochProgress(3, "fit"):
        raise RuntimeError("a bug")
    drawn = terminal.getvalue()
    assert drawn.endswith("\x1b[2K"), "the bar is wiped"


def test_off_a_terminal_nothing_is_drawn(capsys):
    with EpochProgress(3, "fit") as bar:
        bar(record(1), None)
        bar.reach(2, "still")
    assert capsys.readouterr() == ("", "")


def test_a_verbose_fit_shows_it(terminal):
    NMF(2, solver="mu", max_iter=4, tol=0.0, verbose=True, random_state=0).fit(small_ratings(1))
    frame = last_frame(terminal)
    assert "mu, k = 2" in frame
    assert "4/4" in frame
