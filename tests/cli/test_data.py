import json
import zipfile

import pandas as pd
import pytest

from nmf_scratch.readers import catalogue
from nmf_scratch.readers.catalogue import CATALOGUE


class TestList:
    @pytest.fixture
    def folder(self, tmp_path):
        (tmp_path / "ml-1m").mkdir()
        (tmp_path / "ml-10m.zip").touch()
        return tmp_path

    def test_every_dataset_and_where_it_is(self, cli, folder):
        done = cli("data", "list", "--data-dir", folder)
        assert (done.code, done.err) == (0, "")
        at_hand = {line.split()[0]: line.split()[-1] for line in done.out.splitlines()[3:] if line.split()}
        expected = dict.fromkeys(CATALOGUE, "no") | {"ml-1m": "ml-1m", "ml-10m": "ml-10m.zip", "demo": "in"}
        assert {name: at_hand.get(name) for name in CATALOGUE} == expected

    def test_each_licence_is_named_once(self, cli, folder):
        out = " ".join(cli("data", "list", "--data-dir", folder).out.split())
        assert out.count("demo: MIT") == 1
        assert out.count("GroupLens terms: research use") == 1

    def test_json(self, cli, folder):
        rows = json.loads(cli("data", "list", "--data-dir", folder, "--json").out)
        assert [row["name"] for row in rows] == list(CATALOGUE)
        paths = {row["name"]: row["path"] for row in rows if row["path"]}
        assert paths == {"ml-1m": str(folder / "ml-1m"), "ml-10m": str(folder / "ml-10m.zip")}
        assert {row["licence"] for row in rows} == {source.licence for source in CATALOGUE.values()}


class TestStats:
    def test_the_name_may_stand_alone(self, cli, shop):
        assert cli("data", "stats", shop).out == cli("data", "stats", "-d", shop).out
        done = cli("data", "stats", shop, "-d", "demo")
        assert (done.code, done.out) == (2, "")
        assert "names two datasets: leave one out" in done.err

    def test_what_is_said_of_a_file(self, cli, tmp_path):
        path = tmp_path / "diary.csv"
        path.write_text("user;item;rating\nann;x;4,5\nann;x;1,5\nbob;?\nbob;y;2\n")
        said = ("--decimal", ",", "--skip-bad", "--duplicates", "mean", "--json")
        done = cli("data", "stats", path, *said)
        assert json.loads(done.out)["mean"] == 2.5
        assert "1 bad line left out, line 4: 2 field(s) where 3 are expected" in done.err
        assert "1 repeated (user, item) pairs: the numbers of each were averaged" in done.err
        assert "option --skip-bad" in cli("data", "stats", path, "--decimal", ",").err

    def test_json_holds_the_numbers(self, cli, shop):
        done = cli("data", "stats", "-d", shop, "--json")
        frame = pd.read_csv(shop)
        numbers = json.loads(done.out)
        assert done.err == ""
        assert (numbers["name"], numbers["n_ratings"], numbers["n_users"], numbers["n_items"]) == ("shop", 360, 40, 25)
        assert numbers["density"] == pytest.approx(0.36)
        assert numbers["mean"] == pytest.approx(frame["rating"].mean())
        assert {float(rating): count for rating, count in numbers["histogram"].items()} == dict(
            frame["rating"].value_counts()
        )
        assert numbers["first"].startswith(f"{pd.Timestamp(frame['timestamp'].min(), unit='s'):%Y-%m-%d}")

    def test_the_table_words_them(self, cli, shop):
        lines = cli("data", "stats", "-d", shop).out.splitlines()
        assert lines[0].strip() == "shop"
        rows = dict(line.strip().split("  ", 1) for line in lines[1:])
        assert rows["ratings"].strip() == "360"
        assert rows["density"].strip() == "36 %"

    def test_an_archive_is_read_like_what_it_holds(self, cli, shop, tmp_path):
        with zipfile.ZipFile(tmp_path / "packed.zip", "w") as archive:
            archive.write(shop, "shop.csv")
        numbers = json.loads(cli("data", "stats", "-d", tmp_path / "packed.zip", "--json").out)
        assert (numbers["name"], numbers["n_ratings"]) == ("packed", 360)

    def test_movielens_as_a_folder_by_name(self, cli, ml_100k):
        folder = ml_100k.source.removesuffix("ml-100k")
        numbers = json.loads(cli("data", "stats", "-d", "ml-100k", "--data-dir", folder, "--json").out)
        assert (numbers["n_ratings"], numbers["n_users"], numbers["n_items"]) == (100_000, 943, 1682)


class TestDownload:
    def test_what_is_there_is_not_fetched_again(self, cli, tmp_path, monkeypatch):
        monkeypatch.setattr(catalogue, "_fetch", None)
        (tmp_path / "ml-100k").mkdir()
        done = cli("data", "download", "ml-100k", "--data-dir", tmp_path)
        assert (done.code, done.out) == (0, "")
        assert done.err == f"ml-100k is in {tmp_path / 'ml-100k'}\n"

    def test_the_terms_come_first_then_the_place(self, cli, shop, tmp_path, monkeypatch):
        def fetch(source, folder, progress):
            with zipfile.ZipFile(folder.with_suffix(".zip"), "w") as archive:
                archive.write(shop, "ml-100k/u.data")
            return folder.with_suffix(".zip")

        monkeypatch.setattr(catalogue, "_fetch", fetch)
        done = cli("data", "download", "ml-100k", "--data-dir", tmp_path)
        assert done.code == 0
        terms, address, place = done.err.splitlines()
        assert "GroupLens terms" in terms
        assert "Harper and J. A. Konstan (2015)" in terms
        assert address == f"ml-100k: downloading {CATALOGUE['ml-100k'].url}"
        assert place == f"ml-100k is in {tmp_path / 'ml-100k'}"

    def test_out_of_reach(self, cli, tmp_path, monkeypatch):
        def refuse(source, folder, progress):
            raise catalogue.DataUnavailable("no answer; try again")

        monkeypatch.setattr(catalogue, "_fetch", refuse)
        done = cli("data", "download", "ml-1m", "--data-dir", tmp_path)
        assert done.code == 2
        assert done.err.splitlines()[-1] == "error: no answer; try again"

    @pytest.mark.parametrize(
        ("name", "message"),
        [
            ("ml-100", "error: dataset='ml-100' is unknown (did you mean 'ml-100k'?); choose one of: ml-100k, "),
            ("ml-32m", "error: ml-32m has no pinned checksum, so it is not downloaded; get http"),
        ],
    )
    def test_what_cannot_be_downloaded(self, cli, tmp_path, name, message):
        done = cli("data", "download", name, "--data-dir", tmp_path)
        assert done.code == 2
        assert done.err.startswith(message)
        assert len(done.err.splitlines()) == 1
