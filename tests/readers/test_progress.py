import io
from types import SimpleNamespace

import pytest
from rich.console import Console

from nmf_scratch import load_dataset
from nmf_scratch.readers import progress
from nmf_scratch.readers.progress import reading_bar


@pytest.fixture
def terminal(monkeypatch):
    """Stand in for the terminal on stderr; its text is what has been drawn so far."""
    screen = io.StringIO()
    screen.isatty = lambda: True
    monkeypatch.setattr(progress, "sys", SimpleNamespace(stderr=screen))  # pytest keeps the real one for itself
    monkeypatch.setattr(
        "rich.console.Console", lambda **rest: Console(file=screen, force_terminal=True, width=100, color_system=None)
    )
    return screen


@pytest.fixture
def clock(monkeypatch):
    seconds = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: seconds[0])
    return seconds


def test_a_long_reading_shows_how_far_it_is(terminal, clock):
    with reading_bar("reading ratings") as report:
        report(10_000_000, 80_000_000)
        clock[0] += progress.PATIENCE + 0.1
        report(20_000_000, 80_000_000)
        report(50_000_000, 80_000_000)
    drawn = terminal.getvalue()
    assert "reading ratings" in drawn
    assert "50.0/80.0 MB" in drawn
    assert drawn.endswith("\x1b[2K"), "the bar is wiped"


def test_a_short_reading_shows_nothing_and_waiting_before_it_does_not_count(terminal, clock):
    with reading_bar("reading") as report:
        clock[0] += 60
        report(10, 80)
        clock[0] += progress.PATIENCE - 0.1
        report(80, 80)
    assert terminal.getvalue() == ""


def test_off_a_terminal_nothing_is_drawn(clock, capsys, monkeypatch):
    monkeypatch.setattr(progress, "ProgressBar", None)  # not even made: that would import rich
    with reading_bar("reading") as report:
        report(10, 80)
        clock[0] += 60
        report(80, 80)
    assert capsys.readouterr() == ("", "")


def test_it_is_wiped_when_reading_fails(terminal, clock):
    with pytest.raises(RuntimeError, match="a bug"), reading_bar("reading") as report:
        report(10, 80)
        clock[0] += 60
        report(20, 80)
        raise RuntimeError("a bug")
    assert terminal.getvalue().endswith("\x1b[2K")


def test_loading_a_file_reports_to_it(terminal, monkeypatch, tmp_path):
    monkeypatch.setattr(progress, "PATIENCE", -1)
    path = tmp_path / "ratings.csv"
    path.write_text("1,2,3\n1,3,4\n")
    load_dataset(path)
    assert "reading ratings" in terminal.getvalue()
