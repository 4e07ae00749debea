import json

import numpy as np
import pytest

from nmf_scratch import NMF, Ratings, load_dataset
from nmf_scratch.cli._ids import typed_id


@pytest.fixture(scope="module")
def shop_runs(cli, shop, tmp_path_factory):
    """Train on the small file, with titles."""
    folder = tmp_path_factory.mktemp("runs")
    titles = folder / "titles.csv"
    titles.write_text("item,title\n" + "".join(f"b{i:02d},Volume {i}\n" for i in range(25)), encoding="utf-8")
    assert cli("train", "-d", shop, "--items", titles, "-k", 2, "--folds", 2, "--max-iter", 2, "-o", folder).code == 0
    return folder


class TestKnownUser:
    def test_ten_unseen_titles_with_falling_scores(self, cli, demo, demo_runs):
        done = cli("recommend", 3, "-o", demo_runs, "--json")
        assert done.code == 0
        content = json.loads(done.out)
        assert (content["user"], content["known"]) == ("3", True)
        rows = content["recommendations"]
        assert len({row["item"] for row in rows}) == 10
        assert {row["item"] for row in rows}.isdisjoint(demo.ratings.query("user == 3")["item"])
        scores = [row["score"] for row in rows]
        assert scores == sorted(scores, reverse=True)
        titles = demo.items.set_index("item")["title"]
        assert [row["title"] for row in rows] == [titles[row["item"]] for row in rows]

    def test_the_table_shows_the_same(self, cli, demo_runs):
        rows = json.loads(cli("recommend", 3, "-o", demo_runs, "--json").out)["recommendations"]
        done = cli("recommend", 3, "-o", demo_runs)
        lines = done.out.splitlines()
        assert lines[0].strip() == "For user 3"
        assert lines[1].split() == ["#", "stars", "item", "title", "ratings"]
        assert [line.split() for line in lines[3:]] == [
            [str(place), f"{row['stars']:.2f}", str(row["item"]), *row["title"].split(), str(row["n_ratings"])]
            for place, row in enumerate(rows, start=1)
        ]

    def test_it_says_which_model_it_is(self, cli, demo_runs):
        run = (demo_runs / "latest").resolve()
        said = f"order: {run / 'ranking.safetensors'}, stars: {run / 'model.safetensors'}\n"
        assert cli("recommend", 3, "-o", demo_runs).err == said

    def test_another_model_file_can_be_named(self, cli, demo_runs, shop_runs):
        model = next(shop_runs.glob("shop-*")) / "model.safetensors"
        done = cli("recommend", 105, "--model", model, "-o", demo_runs, "--json")
        assert json.loads(done.out)["recommendations"][0]["title"].startswith("Volume ")

    def test_the_length_can_be_chosen(self, cli, demo_runs):
        whole, part = (json.loads(cli("recommend", 3, "-n", n, "-o", demo_runs, "--json").out) for n in (10, 4))
        assert part["recommendations"] == whole["recommendations"][:4]

    def test_seen_items_can_be_included(self, cli, demo, demo_runs):
        done = cli("recommend", 3, "-n", 600, "--include-seen", "-o", demo_runs, "--json")
        items = [row["item"] for row in json.loads(done.out)["recommendations"]]
        assert sorted(items) == sorted(demo.ratings["item"].unique())

    def test_items_with_few_ratings_can_be_left_out(self, cli, demo_runs):
        done = cli("recommend", 3, "-n", 600, "--min-ratings", 100, "-o", demo_runs, "--json")
        assert min(row["n_ratings"] for row in json.loads(done.out)["recommendations"]) >= 100

    def test_text_ids_and_titles_of_a_shop(self, cli, shop, shop_runs):
        seen = load_dataset(shop).ratings.query("user == 105")["item"]
        done = cli("recommend", 105, "-n", 25, "-o", shop_runs, "--json")
        items = {row["item"] for row in json.loads(done.out)["recommendations"]}
        assert items == {f"b{i:02d}" for i in range(25)} - set(seen)


class TestNewUser:
    @pytest.mark.parametrize("user", ["99999", "nobody", "3.5", "99999999999999999999"])
    def test_the_most_rated_titles_said_so(self, cli, demo, demo_runs, user):
        done = cli("recommend", user, "-o", demo_runs)
        assert done.code == 0
        _, new, known = done.err.splitlines()
        assert new.startswith(f"User {user} is not in the training data")
        assert new.endswith("these are the most rated items.")
        assert known == "The model knows 600 users, from 1 to 600."
        lines = done.out.splitlines()
        assert lines[0].strip() == "Most rated"
        assert lines[-1].strip() == "by number of ratings; numbers are an average user's"
        counts = demo.ratings["item"].value_counts()
        items = [int(line.split()[2]) for line in lines[3:13]]
        assert [counts[item] for item in items] == counts.iloc[:10].tolist()

    def test_json_says_that_the_user_is_unknown(self, cli, demo_runs):
        content = json.loads(cli("recommend", "nobody", "-o", demo_runs, "--json").out)
        assert (content["user"], content["known"]) == ("nobody", False)
        assert len(content["recommendations"]) == 10

    def test_an_id_may_begin_with_a_dash(self, cli, demo_runs):
        assert cli("recommend", "-o", demo_runs, "--", "-5").out.startswith("Most rated")

    def test_a_row_without_ratings_is_a_new_user(self, cli, tmp_path):
        """Ratings built in Python may have such a row; its id is known, its tastes are not."""
        ratings = Ratings.from_arrays([0, 0, 2], [0, 1, 1], [4.0, 3.0, 5.0], n_users=3, n_items=2)
        NMF(1, max_iter=1, random_state=0).fit(ratings).save(tmp_path / "model.safetensors")
        for user, known in ((1, False), (2, True)):
            content = json.loads(cli("recommend", user, "--model", tmp_path / "model.safetensors", "--json").out)
            assert content["known"] is known


class TestMistakes:
    def test_no_model_yet(self, cli, tmp_path):
        done = cli("recommend", 3, "-o", tmp_path)
        assert (done.code, done.out) == (2, "")
        assert done.err == (
            f"error: there is no trained model under '{tmp_path}': run `nmf-scratch train` first, or pass --model\n"
        )

    def test_a_latest_that_leads_nowhere(self, cli, tmp_path):
        (tmp_path / "latest").symlink_to("gone")
        assert "there is no trained model under" in cli("recommend", 3, "-o", tmp_path).err

    def test_a_model_file_that_is_not_there(self, cli, tmp_path):
        done = cli("recommend", 3, "--model", tmp_path / "none.safetensors")
        assert done.code == 2
        assert done.err.startswith(f"error: there is no model file '{tmp_path / 'none.safetensors'}'")

    def test_a_model_file_that_is_none(self, cli, shop):
        done = cli("recommend", 3, "--model", shop)
        assert done.code == 2
        assert "is not a model file of nmf-scratch" in done.err

    @pytest.mark.parametrize("n", [0, -3])
    def test_a_length_below_one(self, cli, demo_runs, n):
        done = cli("recommend", 3, "-n", n, "-o", demo_runs)
        assert (done.code, done.out) == (2, "")
        assert done.err == f"error: n must be an integer >= 1, got {n}\n"

    @pytest.mark.parametrize("both", [(), ("3", "--user-ratings", "mine.csv")])
    def test_no_user_or_two(self, cli, both):
        done = cli("recommend", *both)
        assert done.code == 2
        assert done.err.startswith("error: name a USER, or pass --user-ratings FILE")


@pytest.mark.parametrize(
    ("text", "ids", "expected"),
    [
        ("7", np.array([1, 7]), 7),
        (" 7", np.array([1, 7]), 7),
        ("7", np.array([1, 7], dtype=np.int32), 7),
        ("7", np.array(["1", "7"]), "7"),
        ("007", np.array(["007"], dtype=object), "007"),
        ("1.5", np.array([0.5, 1.5]), 1.5),
        ("seven", np.array([1, 7]), "seven"),
        ("99999999999999999999", np.array([1, 7]), "99999999999999999999"),
    ],
)
def test_what_is_typed_becomes_an_id_of_the_stored_type(text, ids, expected):
    typed = typed_id(text, ids)
    assert typed == expected
    assert isinstance(typed, str) == isinstance(expected, str)
