import gzip
import io
from types import SimpleNamespace

import numpy as np
import pytest
from problems import small_ratings
from rich.console import Console

from nmf_scratch import NMF, _progress, load_dataset
from nmf_scratch._progress import ByteProgress, EpochProgress
from nmf_scratch.history import EpochRecord


def record(epoch, train=0.5, valid=np.nan):
    return EpochRecord(epoch, 0.1, 1.0, train, valid, np.nan)


@pytest.fixture
def terminal(monkeypatch):
    """Stand in for the terminal on stderr; its text is what has been drawn so far."""
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=100, color_system=None)
    monkeypatch.setattr(_progress, "PlainConsole", lambda stderr: console)
    screen.isatty = lambda: True
    monkeypatch.setattr(_progress, "sys", SimpleNamespace(stderr=screen))  # pytest keeps the real one for itself
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


@pytest.fixture
def clock(monkeypatch):
    seconds = [100.0]
    monkeypatch.setattr(_progress, "monotonic", lambda: seconds[0])
    return seconds


def test_a_long_reading_shows_how_far_it_is(terminal, clock):
    with ByteProgress("reading ratings") as bar:
        bar(10_000_000, 80_000_000)
        clock[0] += _progress.PATIENCE + 0.1
        bar(20_000_000, 80_000_000)
        bar(50_000_000, 80_000_000)
    drawn = terminal.getvalue()
    assert "reading ratings" in drawn
    assert "50.0/80.0 MB" in drawn
    assert drawn.endswith("\x1b[2K"), "the bar is wiped"


def test_a_short_reading_shows_nothing_and_waiting_before_it_does_not_count(terminal, clock):
    with ByteProgress("reading") as bar:
        clock[0] += 60
        bar(10, 80)
        clock[0] += _progress.PATIENCE - 0.1
        bar(80, 80)
    assert terminal.getvalue() == ""


def test_off_a_terminal_bytes_are_not_shown(clock, capsys):
    with ByteProgress("reading") as bar:
        bar(10, 80)
        clock[0] += 60
        bar(80, 80)
    assert capsys.readouterr() == ("", "")


def test_it_is_wiped_when_reading_fails(terminal, clock):
    with pytest.raises(RuntimeError, match="a bug"), ByteProgress("reading") as bar:
        bar(10, 80)
        clock[0] += 60
        bar(20, 80)
        raise RuntimeError("a bug")
    assert terminal.getvalue().endswith("\x1b[2K")


def test_a_download_is_counted_as_it_arrives(terminal, monkeypatch):
    monkeypatch.setattr(_progress, "PATIENCE", -1)
    with ByteProgress("x") as bar:
        bar.total = 100
        bar.update(30)
        bar.update(30)
    assert "60/100 bytes" in last_frame(terminal)


def test_a_download_that_pooch_ends_is_complete(terminal, monkeypatch):
    monkeypatch.setattr(_progress, "PATIENCE", -1)
    with ByteProgress("x") as bar:
        bar.total = 100
        bar.update(98)
        bar.reset()  # so does pooch before its last update
        bar.update(100)
    assert "100/100 bytes" in last_frame(terminal)


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_loading_a_file_counts_its_own_bytes(monkeypatch, tmp_path, suffix):
    content = b"".join(b"%d,1,3\n" % user for user in range(50_000))
    content = gzip.compress(content, 1) if suffix else content
    path, seen = tmp_path / f"ratings.csv{suffix}", []
    path.write_bytes(content)
    monkeypatch.setattr(ByteProgress, "__call__", lambda bar, done, total: seen.append((bar._description, done, total)))
    load_dataset(path)
    assert {(name, total) for name, _, total in seen} == {(f"reading {path.name}", len(content))}
    assert max(done for _, done, _ in seen) == len(content)


def test_a_file_that_takes_long_shows_its_name(terminal, monkeypatch, tmp_path):
    monkeypatch.setattr(_progress, "PATIENCE", -1)
    path = tmp_path / "ratings.csv"
    path.write_text("1,2,3\n1,3,4\n")
    load_dataset(path)
    assert "reading ratings.csv" in terminal.getvalue()
