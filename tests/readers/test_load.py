"""The catalogue, the search for data and the download; nothing here touches the network."""

import functools
import hashlib
import http.server
import logging
import os
import shutil
import threading
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import requests

from nmf_scratch._check import InputError
from nmf_scratch.readers import load
from nmf_scratch.readers.catalogue import CATALOGUE, DataUnavailable, default_data_dir, download
from nmf_scratch.readers.load import load_dataset

RATINGS = "userId,movieId,rating,timestamp\n1,2,4.0,964982703\n7,9,0.5,964981247\n"
MOVIES = "movieId,title,genres\n2,Nest (1975),Drama\n9,Serial (2006),(no genres listed)\n"


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    """Fail the test on a request to anywhere but this machine."""
    send = requests.adapters.HTTPAdapter.send

    def local_only(self, request, **options):
        assert request.url.startswith("http://127.0.0.1:"), f"network access to {request.url}"
        return send(self, request, **options)

    monkeypatch.setattr(requests.adapters.HTTPAdapter, "send", local_only)
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def archive(tmp_path):
    """Write a small archive in the layout of ml-latest."""
    path = tmp_path / "origin" / "small.zip"
    path.parent.mkdir()
    with zipfile.ZipFile(path, "w") as content:
        content.writestr("ml-small-2018/ratings.csv", RATINGS)
        content.writestr("ml-small-2018/movies.csv", MOVIES)
    return path


@pytest.fixture
def served(archive, monkeypatch):
    """Serve the archive from this machine as ml-100k, ml-latest-small (both with its checksum); count the requests."""
    hits = []

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *arguments):
            hits.append(self.path)

    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(Handler, directory=str(archive.parent))
    )
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    url = f"http://127.0.0.1:{server.server_address[1]}/small.zip"
    checksum = "sha256:" + hashlib.sha256(archive.read_bytes()).hexdigest()
    for name in ("ml-100k", "ml-latest-small"):
        monkeypatch.setitem(CATALOGUE, name, replace(CATALOGUE[name], url=url, checksum=checksum))
    yield hits
    server.shutdown()
    server.server_close()
    thread.join()


def set_checksum(monkeypatch, name, checksum):
    monkeypatch.setitem(CATALOGUE, name, replace(CATALOGUE[name], checksum=checksum))


# --- the catalogue ---


def test_catalogue_entries_are_complete():
    for name, source in CATALOGUE.items():
        assert name == source.name
        assert source.licence
        assert source.citation
        assert source.size
        assert source.url is None or source.url.endswith(f"/{name}.zip")


def test_pinned_checksums_are_well_formed():
    digits = {"sha256": 64, "md5": 32}
    for source in CATALOGUE.values():
        algorithm, _, digest = (source.checksum or "md5:" + "0" * 32).partition(":")
        assert len(digest) == digits[algorithm]
        assert int(digest, 16) >= 0
    assert CATALOGUE["ml-10m"].checksum.startswith("md5:")
    assert [name for name, source in CATALOGUE.items() if source.mutable] == ["ml-latest-small"]


def test_data_directory(monkeypatch):
    monkeypatch.setenv("NMF_SCRATCH_DATA_DIR", "/somewhere/else")
    assert default_data_dir() == Path("/somewhere/else")
    monkeypatch.setenv("NMF_SCRATCH_DATA_DIR", "")
    assert default_data_dir() == Path("data")
    monkeypatch.delenv("NMF_SCRATCH_DATA_DIR")
    assert default_data_dir() == Path("data")


# --- finding ---


def test_demo_needs_no_directory(tmp_path):
    dataset = load_dataset("demo", data_dir=tmp_path / "absent")
    assert dataset.name == "demo"
    assert not tmp_path.joinpath("absent").exists()


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(InputError) as caught:
        load_dataset("ml100k")
    message = str(caught.value)
    assert "dataset 'ml100k' is neither a known name (did you mean 'ml-100k'?) nor an existing path" in message
    assert all(name in message for name in CATALOGUE)
    assert not isinstance(caught.value, DataUnavailable)
    with pytest.raises(InputError, match=r"nowhere/x\.csv' is neither a known name nor an existing path"):
        load_dataset(Path("nowhere/x.csv"))


def test_the_unpacked_folder_comes_first(tmp_path):
    tmp_path.joinpath("ml-25m").mkdir()
    tmp_path.joinpath("ml-25m/ratings.csv").write_text(RATINGS)
    tmp_path.joinpath("ml-25m.zip").write_text("never opened")
    dataset = load_dataset("ml-25m", data_dir=tmp_path)
    assert dataset.name == "ml-25m"
    assert dataset.ratings["rating"].tolist() == [4.0, 0.5]


def test_the_environment_names_the_directory(tmp_path, monkeypatch):
    tmp_path.joinpath("ml-25m").mkdir()
    tmp_path.joinpath("ml-25m/ratings.csv").write_text(RATINGS)
    monkeypatch.setenv("NMF_SCRATCH_DATA_DIR", str(tmp_path))
    assert load_dataset("ml-25m").n_ratings == 2


def test_an_archive_in_the_directory_is_unpacked_beside_itself(archive, tmp_path):
    shutil.copy(archive, tmp_path / "ml-32m.zip")
    dataset = load_dataset("ml-32m", data_dir=tmp_path)
    assert dataset.name == "ml-32m"
    assert dataset.items["title"].tolist() == ["Nest (1975)", "Serial (2006)"]
    assert tmp_path.joinpath("ml-32m/ratings.csv").is_file()


def test_an_archive_in_a_directory_that_cannot_be_written(archive, tmp_path, monkeypatch):
    shutil.copy(archive, tmp_path / "ml-32m.zip")
    real = load.unzip

    def read_only(source, target):
        if target.parent == tmp_path:
            raise PermissionError(13, "Permission denied")
        return real(source, target)

    monkeypatch.setattr(load, "unzip", read_only)
    dataset = load_dataset("ml-32m", data_dir=tmp_path)
    assert dataset.name == "ml-32m"
    assert dataset.n_ratings == 2
    assert dataset.source == str(tmp_path / "ml-32m.zip")
    assert not tmp_path.joinpath("ml-32m").exists()


def test_data_that_may_not_be_downloaded(tmp_path):
    with pytest.raises(DataUnavailable, match=r"ml-100k is not in .*: put ml-100k\.zip or the unpacked folder into "):
        load_dataset("ml-100k", data_dir=tmp_path, download=False)


def test_data_without_a_checksum_is_not_downloaded(tmp_path):
    with pytest.raises(
        DataUnavailable, match="ml-32m has no pinned checksum, so it is not downloaded; get http.* put ml-32m"
    ):
        load_dataset("ml-32m", data_dir=tmp_path)


# --- paths ---


def test_a_path_to_a_file(tmp_path):
    path = tmp_path / "plays.csv"
    path.write_text("who,what,points\nann,x,5\nbob,y,2\nann,x,4\n")
    tables = tmp_path / "things.csv"
    tables.write_text("id,name\nx,Thing X\ny,Thing Y\n")
    dataset = load_dataset(path, columns={"user": "who", "item": "what", "rating": "points"}, items=tables)
    assert dataset.name == "plays"
    assert dataset.n_duplicates == 1
    assert dataset.items["title"].tolist() == ["Thing X", "Thing Y"]


def test_options_of_a_file_are_passed_on(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes("9,9,9\n1,Zoë,4\n".encode("latin-1"))
    assert load_dataset(str(path), header=True, separator=",", encoding="latin-1").ratings["item"].tolist() == ["Zoë"]


def test_a_path_to_a_folder(tmp_path, monkeypatch):
    tmp_path.joinpath("mine").mkdir()
    tmp_path.joinpath("mine/ratings.csv").write_text(RATINGS)
    assert load_dataset(tmp_path / "mine").name == "mine"
    monkeypatch.chdir(tmp_path / "mine")
    assert load_dataset(".").name == "mine"


def test_a_path_to_an_archive_leaves_nothing_behind(archive):
    dataset = load_dataset(archive)
    assert dataset.name == "small"
    assert dataset.source == str(archive)
    assert dataset.items is not None
    assert [entry.name for entry in archive.parent.iterdir()] == ["small.zip"]


def test_an_archive_of_one_file(tmp_path):
    path = tmp_path / "books.zip"
    with zipfile.ZipFile(path, "w") as content:
        content.writestr("BX.csv", "User-ID;ISBN;Book-Rating\n7;007;8\n")
    dataset = load_dataset(path, separator=";")
    assert dataset.name == "books"
    assert dataset.ratings["item"].tolist() == ["007"]


def test_an_archive_of_something_else(tmp_path):
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w") as content:
        content.writestr("a.txt", "a")
        content.writestr("b.txt", "b")
    with pytest.raises(InputError, match=r"holds none of u\.data, ratings\.dat, ratings\.csv"):
        load_dataset(path)


# --- fetching ---


def test_a_download_is_checked_unpacked_and_announced(served, tmp_path):
    notices = []
    dataset = load_dataset("ml-100k", data_dir=tmp_path / "new" / "data", report=notices.append)
    assert dataset.n_ratings == 2
    assert "commercial use" in notices[0]
    assert "Harper" in notices[0]
    assert "downloading http://127.0.0.1" in notices[1]
    assert tmp_path.joinpath("new/data/ml-100k/ratings.csv").is_file()
    load_dataset("ml-100k", data_dir=tmp_path / "new" / "data", report=notices.append)
    assert len(served) == 1
    assert len(notices) == 2


def test_notices_go_to_the_logger_by_default(served, tmp_path, caplog):
    caplog.set_level(logging.INFO, "nmf_scratch")
    download("ml-100k", tmp_path)
    assert "Please cite: F. M. Harper" in caplog.text


def test_what_is_there_is_left_alone(served, tmp_path):
    tmp_path.joinpath("ml-100k").mkdir()
    assert download("ml-100k", tmp_path) == tmp_path / "ml-100k"
    assert not served
    assert not tmp_path.joinpath("ml-100k.zip").exists()


def test_force_fetches_again(served, tmp_path):
    for force in (False, False, True):
        assert download("ml-100k", tmp_path, force=force) == tmp_path / "ml-100k"
    assert len(served) == 2


def test_another_checksum_is_refused(served, tmp_path, monkeypatch):
    set_checksum(monkeypatch, "ml-100k", "sha256:" + "0" * 64)
    with pytest.raises(DataUnavailable, match="is not the archive whose checksum is pinned, and was thrown away; put"):
        download("ml-100k", tmp_path)
    assert not list(tmp_path.glob("ml-100k*"))
    assert not [entry for entry in tmp_path.iterdir() if entry.name != "origin"]


def test_md5_is_checked_too(served, archive, tmp_path, monkeypatch):
    set_checksum(monkeypatch, "ml-100k", "md5:" + "0" * 32)
    with pytest.raises(DataUnavailable, match="checksum"):
        download("ml-100k", tmp_path)
    set_checksum(monkeypatch, "ml-100k", "md5:" + hashlib.md5(archive.read_bytes()).hexdigest())
    assert download("ml-100k", tmp_path).is_dir()


def test_a_changed_checksum_of_a_data_set_that_changes_is_reported(served, tmp_path, monkeypatch):
    notices = []
    download("ml-latest-small", tmp_path / "same", report=notices.append)
    assert len(notices) == 2
    set_checksum(monkeypatch, "ml-latest-small", "sha256:" + "0" * 64)
    download("ml-latest-small", tmp_path / "changed", report=notices.append)
    assert "the archive has changed since its checksum was pinned" in notices[-1]
    assert tmp_path.joinpath("changed/ml-latest-small/ratings.csv").is_file()


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (requests.exceptions.ConnectTimeout("long\nstory"), "no answer"),
        (requests.exceptions.ReadTimeout("long\nstory"), "no answer"),
        (requests.exceptions.ConnectionError("long\nstory"), "no connection"),
        (requests.exceptions.HTTPError("404 Not Found\nfor url"), "404 Not Found"),
        (PermissionError(13, "Permission denied"), "Permission denied"),
    ],
)
def test_an_unreachable_source_is_one_line_with_a_remedy(tmp_path, monkeypatch, error, reason):
    import pooch

    def fail(*arguments, **options):
        raise error

    monkeypatch.setattr(pooch, "retrieve", fail)
    with pytest.raises(DataUnavailable) as caught:
        load_dataset("ml-1m", data_dir=tmp_path)
    message = str(caught.value)
    assert f"{reason})" in message
    assert message.startswith("ml-1m could not be downloaded from https://files.grouplens.org/")
    assert "put ml-1m.zip" in message
    assert "\n" not in message


def test_a_server_that_says_no(served, tmp_path, monkeypatch):
    monkeypatch.setitem(
        CATALOGUE, "ml-1m", replace(CATALOGUE["ml-100k"], name="ml-1m", url=CATALOGUE["ml-100k"].url + "x")
    )
    with pytest.raises(DataUnavailable, match=r"\(404 Client Error"):
        download("ml-1m", tmp_path)


def test_the_connection_is_given_up_soon(tmp_path, monkeypatch):
    seen = {}

    def get(url, **options):
        seen.update(options)
        raise requests.exceptions.ConnectTimeout

    monkeypatch.setattr(requests, "get", get)
    with pytest.raises(DataUnavailable, match="no answer"):
        download("ml-1m", tmp_path)
    connect, read = seen["timeout"]
    assert connect <= 5
    assert read >= 30


def test_names_that_cannot_be_downloaded(tmp_path):
    with pytest.raises(InputError, match=r"dataset='ml-99m' is unknown .*choose one of: .*ml-100k"):
        download("ml-99m", tmp_path)
    with pytest.raises(InputError, match="dataset='demo' is unknown"):
        download("demo", tmp_path)


# --- the real thing ---


@pytest.fixture(scope="module")
def real():
    folder = Path(os.environ.get("NMF_SCRATCH_DATA_DIR", "data")) / "ml-100k"
    if not folder.is_dir():
        pytest.skip("needs ml-100k: set NMF_SCRATCH_DATA_DIR to a folder that holds it")
    return load_dataset("ml-100k", data_dir=folder.parent, download=False)


def test_ml_100k(real):
    assert (real.n_ratings, real.n_users, real.n_items) == (100_000, 943, 1682)
    assert real.n_duplicates == 0
    assert real.ratings["rating"].value_counts().sort_index().tolist() == [6110, 11370, 27145, 34174, 21201]
    assert len(real.users) == 943
    assert set(real.users["gender"]) == {"M", "F"}
    assert real.users["occupation"].nunique() == 21
    assert not real.users.isna().to_numpy().any()
    assert len(real.items) == 1682
    assert real.items["year"].isna().sum() == 1  # item 267, "unknown"
    assert set(real.items["genres"].str.split("|").explode()) > {"Film-Noir", "War"}
    assert (real.items["genres"] == "").sum() == 2  # flagged "unknown"


def test_ml_100k_folds(real):
    assert np.bincount(real.test_fold).tolist() == [20_000] * 5
    assert real.test_fold.min() == 0
    folder = Path(real.source)
    test = pd.read_csv(folder / "u1.test", sep="\t", header=None)
    held_out = real.ratings[real.test_fold == 0].sort_values(["user", "item"])
    np.testing.assert_array_equal(held_out.to_numpy(np.int64), test.sort_values([0, 1]).to_numpy())


def test_ml_100k_from_an_archive(real, tmp_path):
    shutil.make_archive(str(tmp_path / "ml-100k"), "zip", Path(real.source).parent, "ml-100k")
    for source in ("ml-100k", tmp_path / "ml-100k.zip"):
        dataset = load_dataset(source, data_dir=tmp_path, download=False)
        pd.testing.assert_frame_equal(dataset.ratings, real.ratings)
        pd.testing.assert_frame_equal(dataset.items, real.items)
        np.testing.assert_array_equal(dataset.test_fold, real.test_fold)
