import gzip
import os
import time

import numpy as np
import pandas as pd
import pytest

from nmf_scratch import load_dataset
from nmf_scratch.readers import cache as module
from nmf_scratch.readers.cache import read_merged
from nmf_scratch.readers.sniffing import Layout

LINES = "user,item,rating,timestamp\n7,a,3.5,10\n3,b,1,20\n7,a,4,30\n"


@pytest.fixture(autouse=True)
def every_file_is_large(monkeypatch):
    monkeypatch.setattr(module, "SMALLEST", 0)


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "ratings.csv"
    path.write_text(LINES)
    return path


@pytest.fixture
def parsed(monkeypatch):
    """Record which files are parsed as text."""
    paths = []
    genuine = module.parse_ratings
    monkeypatch.setattr(
        module, "parse_ratings", lambda path, *rest, **more: paths.append(path) or genuine(path, *rest, **more)
    )
    return paths


def copies(folder):
    return sorted(folder.iterdir()) if folder.is_dir() else []


def test_a_second_reading_takes_the_copy_and_gives_the_same(source, tmp_path, parsed):
    first, n_first = read_merged(source, cache=tmp_path / "cache")
    second, n_second = read_merged(source, cache=tmp_path / "cache")
    assert parsed == [source]
    assert n_first == n_second == 1
    pd.testing.assert_frame_equal(second, first)
    assert first["rating"].tolist() == [1.0, 4.0]


def test_a_moved_file_keeps_its_copy_and_a_changed_one_does_not(source, tmp_path, parsed):
    read_merged(source, cache=tmp_path / "cache")
    moved = source.rename(tmp_path / "other.csv")
    read_merged(moved, cache=tmp_path / "cache")
    assert len(parsed) == 1
    times = moved.stat()
    moved.write_text(LINES.replace("3.5", "2.5"))
    os.utime(moved, ns=(times.st_atime_ns, times.st_mtime_ns))  # neither size nor date tell
    assert read_merged(moved, cache=tmp_path / "cache")[0]["rating"].tolist() == [1.0, 4.0]
    assert len(parsed) == 2


@pytest.mark.parametrize("options", [{"separator": ","}, {"columns": {"user": 1, "item": 0, "rating": 2}}])
def test_other_options_have_other_copies(source, tmp_path, parsed, options):
    read_merged(source, cache=tmp_path / "cache")
    plain = read_merged(source, Layout(**options))[0]
    pd.testing.assert_frame_equal(read_merged(source, Layout(**options), cache=tmp_path / "cache")[0], plain)
    assert len(copies(tmp_path / "cache")) == 2


def test_another_version_or_ending_has_another_copy(source, tmp_path, monkeypatch):
    places = {module._place(source, tmp_path, {})}
    places.add(module._place(source.rename(tmp_path / "ratings.gz"), tmp_path, {}))
    monkeypatch.setattr(module, "VERSION", module.VERSION + 1)
    places.add(module._place(tmp_path / "ratings.gz", tmp_path, {}))
    assert len(places) == 3


def flipped(raw, at):
    """Change one byte, any of them."""
    at %= len(raw)
    return raw[:at] + bytes([raw[at] ^ 255]) + raw[at + 1 :]


DAMAGE = [
    lambda raw: b"",
    lambda raw: b"no archive",
    lambda raw: raw[:-30],
    lambda raw: raw[: len(raw) // 2],
    lambda raw: raw.replace(b"item_ends", b"item_eggs"),
    lambda raw: b"item_texu.npy".join(raw.rsplit(b"item_text.npy", 1)),  # in the directory, which has no checksum
    *(lambda raw, at=at: flipped(raw, at) for at in range(0, 2**14, 397)),
]


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_copy_is_ignored_and_written_again(source, tmp_path, damage):
    expected = read_merged(source, cache=tmp_path / "cache")[0]
    (copy,) = copies(tmp_path / "cache")
    sound = copy.read_bytes()
    copy.write_bytes(damage(sound))
    for _ in range(2):
        pd.testing.assert_frame_equal(read_merged(source, cache=tmp_path / "cache")[0], expected)
    assert copies(tmp_path / "cache") == [copy]


def test_a_damaged_copy_is_replaced_by_a_sound_one(source, tmp_path, parsed):
    read_merged(source, cache=tmp_path / "cache")
    (copy,) = copies(tmp_path / "cache")
    copy.write_bytes(b"no archive")
    for _ in range(2):
        read_merged(source, cache=tmp_path / "cache")
    assert len(parsed) == 2


def test_where_nothing_can_be_written_there_is_no_copy(source, tmp_path):
    tmp_path.joinpath("file").write_text("in the way")
    for place in ("file", "absent/cache"):
        assert len(read_merged(source, cache=tmp_path / place)[0]) == 2
    assert not tmp_path.joinpath("absent").exists()


@pytest.mark.parametrize("error", [OSError("disk full"), KeyboardInterrupt()])
def test_a_write_that_fails_leaves_nothing(source, tmp_path, monkeypatch, error):
    def fail(file, ratings, **extra):
        file.write(b"half")
        raise error

    monkeypatch.setattr(module, "write_npz", fail)
    if isinstance(error, OSError):
        assert len(read_merged(source, cache=tmp_path / "cache")[0]) == 2
    else:
        with pytest.raises(KeyboardInterrupt):
            read_merged(source, cache=tmp_path / "cache")
    assert copies(tmp_path / "cache") == []


def test_small_and_binary_files_have_no_copy(source, tmp_path, monkeypatch):
    np.savez(tmp_path / "a.npz", user=[1], item=[3], rating=[1.0])
    read_merged(tmp_path / "a.npz", cache=tmp_path / "cache")
    monkeypatch.setattr(module, "SMALLEST", source.stat().st_size + 1)
    read_merged(source, cache=tmp_path / "cache")
    assert copies(tmp_path / "cache") == []
    monkeypatch.setattr(module, "SMALLEST", source.stat().st_size)
    read_merged(source, cache=tmp_path / "cache")
    assert len(copies(tmp_path / "cache")) == 1


def test_datasets_leave_copies_in_the_data_directory_unless_told_not_to(tmp_path, parsed):
    home = tmp_path / "home"
    home.joinpath("ml-20m").mkdir(parents=True)
    home.joinpath("ml-20m", "ratings.csv").write_text(LINES.replace(",a", ",1").replace(",b", ",2"))
    source = tmp_path / "mine.csv.gz"
    source.write_bytes(gzip.compress(LINES.encode()))
    for what in ("ml-20m", home / "ml-20m", source):
        load_dataset(what, data_dir=home, cache=False)
    assert copies(home / "cache") == []
    for _ in range(2):
        for what in ("ml-20m", home / "ml-20m", source):
            assert load_dataset(what, data_dir=home).n_duplicates == 1
    assert len(copies(home / "cache")) == 2
    assert len(parsed) == 3 + 2


@pytest.mark.slow
def test_the_copy_of_a_large_file_opens_faster(tmp_path):
    path = tmp_path / "large.csv"
    rows = np.arange(1_000_000)
    columns = {"user": rows // 100, "item": rows * 7919 % 30011, "rating": rows % 10 / 2, "time": rows + 10**9}
    pd.DataFrame(columns).to_csv(path, index=False)
    seconds = []
    for _ in range(2):
        start = time.perf_counter()
        read_merged(path, cache=tmp_path / "cache")
        seconds.append(time.perf_counter() - start)
    assert seconds[1] < seconds[0] / 2
