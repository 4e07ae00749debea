"""The commands that ask a trained model, as somebody with a file of their own would use them."""

import json

import numpy as np
import pandas as pd
import pytest

from nmf_scratch import NMF, InputError
from nmf_scratch.cli._ids import own_ratings, typed_ids


@pytest.fixture(scope="module")
def books(cli, tmp_path_factory):
    """Train on a stranger's shop, with the commands: text ids with leading zeros, half stars, semicolons, titles."""
    folder, rng = tmp_path_factory.mktemp("books"), np.random.default_rng(3)
    isbn = [f"0{n:08d}X" for n in range(30)]
    cells = rng.permutation(50 * 30)[:700]
    lines = [f"reader-{c // 30:02d};{isbn[c % 30]};{rng.integers(1, 11) / 2}\n" for c in cells]
    (folder / "ratings.csv").write_text("Reader;ISBN;Stars\n" + "".join(lines), encoding="utf-8")
    titles = [f'{code};"Book {n}; or not";{"crime|noir" if n % 2 else "poetry"}\n' for n, code in enumerate(isbn)]
    (folder / "books.csv").write_text("ISBN;Title;Genres\n" + "".join(titles), encoding="utf-8")
    mine = [("000000000X", "4,5"), ("000000003X", "0,5"), ("000000007X", "5"), ("123", "3")]
    (folder / "mine.csv").write_text("\ufeffISBN;Stars\n" + "".join(f"{i};{s}\n" for i, s in mine), encoding="utf-8")
    options = ("-k", 3, "--folds", 2, "--max-iter", 10, "-o", folder / "runs")
    done = cli("train", "-d", folder / "ratings.csv", "--items", folder / "books.csv", *options)
    assert done.code == 0, done.err
    return folder


@pytest.fixture(scope="module")
def model(books):
    return NMF.load(books / "runs" / "latest" / "model.safetensors")


def asked(cli, books, *words):
    done = cli(*words, "-o", books / "runs", "--json")
    assert done.code == 0, done.err
    return json.loads(done.out)


class TestRecommend:
    def test_from_a_file_to_recommendations(self, cli, books, model):
        content = asked(cli, books, "recommend", "--user-ratings", books / "mine.csv", "-n", 5)
        folded = model.fold_in([("000000000X", 4.5), ("000000003X", 0.5), ("000000007X", 5)])
        expected = model.recommend(folded, n=5)
        assert content["known"]
        assert [row["item"] for row in content["recommendations"]] == expected["item"].tolist()
        assert [row["title"] for row in content["recommendations"]] == expected["title"].tolist()

    def test_it_says_what_was_left_out_and_how_to_go_on(self, cli, books):
        done = cli("recommend", "--user-ratings", books / "mine.csv", "-o", books / "runs")
        left_out, _, why = done.err.splitlines()
        assert left_out == "note: 1 of 4 rated items were not seen in training and are left out: '123'"
        words = why.removeprefix("why? nmf-scratch ").split()
        assert done.out.startswith("For the ratings in ")
        assert cli(*words).code == 0

    def test_wishes(self, cli, books, model):
        best = model.recommend("reader-07", n=30)["item"].tolist()
        (books / "wanted.txt").write_text("\n".join(best[1:6]) + "\n", encoding="utf-8")
        words = ("--candidates", books / "wanted.txt", "--blocked", f"{best[2]}, {best[3]}")
        rows = asked(cli, books, "recommend", "reader-07", *words)["recommendations"]
        assert [row["item"] for row in rows] == [best[1], best[4], best[5]]
        rows = asked(cli, books, "recommend", "reader-07", "--diversity", 0.9, "-n", 5)["recommendations"]
        assert [row["item"] for row in rows] == model.recommend("reader-07", n=5, diversity=0.9)["item"].tolist()

    def test_a_file_without_any_known_item_is_refused(self, cli, books, tmp_path):
        (tmp_path / "alien.csv").write_text("a,1\nb,2\n", encoding="utf-8")
        done = cli("recommend", "--user-ratings", tmp_path / "alien.csv", "-o", books / "runs")
        assert done.code == 2
        assert "is known to the model, whose ids look like 000000000X" in done.err
        done = cli("recommend", "--user-ratings", tmp_path / "none.csv", "-o", books / "runs")
        assert done.code == 2
        assert "error: there is no file" in done.err


class TestExplain:
    def test_parts_add_up_to_the_score(self, cli, books, model):
        for who in (("reader-07", "000000005X"), ("--user-ratings", books / "mine.csv", "--item", "000000005X")):
            content = asked(cli, books, "explain", *who)
            assert sum(part["contribution"] for part in content["parts"]) == pytest.approx(content["score"], abs=1e-5)
            assert content["title"] == "Book 5; or not"
            assert content["reasons"]
        assert asked(cli, books, "explain", "--user-ratings", books / "mine.csv", "000000005X") == content

    def test_the_table_names_title_user_and_score(self, cli, books, model):
        done = cli("explain", "reader-07", "000000005X", "-o", books / "runs")
        score = model.explain("reader-07", "000000005X").score
        assert done.out.splitlines()[0].strip() == f"Book 5; or not for user reader-07: {score:.2f}"
        assert "user bias" in done.out

    @pytest.mark.parametrize(
        ("words", "message"),
        [(("reader-07",), "name the item to explain"), (("--item", "000000005X"), "name a USER, or pass")],
    )
    def test_what_is_missing_is_named(self, cli, books, words, message):
        done = cli("explain", *words, "-o", books / "runs")
        assert done.code == 2
        assert message in done.err


class TestSimilarAndFactors:
    def test_similar(self, cli, books, model):
        rows = asked(cli, books, "similar", "--item", "000000005X", "-n", 4)["similar"]
        assert [row["item"] for row in rows] == model.similar_items("000000005X", 4)["item"].tolist()
        rows = asked(cli, books, "similar", "--user", "reader-07")["similar"]
        assert [row["user"] for row in rows] == model.similar_users("reader-07")["user"].tolist()
        done = cli("similar", "--item", "000000005X", "-n", 4, "-o", books / "runs")
        assert done.out.splitlines()[1].split() == ["#", "similarity", "item", "title", "ratings"]

    @pytest.mark.parametrize("words", [(), ("--item", "a", "--user", "b")])
    def test_one_of_the_two(self, cli, words):
        done = cli("similar", *words)
        assert (done.code, done.err) == (2, "error: pass --item or --user, one of the two\n")

    def test_factors(self, cli, books, model):
        rows = asked(cli, books, "factors", "-n", 2)["factors"]
        summary = model.factor_summary(2)
        assert [row["titles"] for row in rows] == summary["titles"].tolist()
        done = cli("factors", "-o", books / "runs")
        assert done.out.splitlines()[0].strip() == "3 factors"


@pytest.mark.parametrize(
    ("text", "columns", "expected"),
    [
        ("item,rating\na,4\nb,3.5\n", None, [("a", 4), ("b", 3.5)]),
        ("stars\tISBN\n4\ta\n", None, [("a", 4)]),
        ("a;4,5\n\nb;1\n", None, [("a", 4.5), ("b", 1)]),
        ('"a, b",5\n"c",2\n', None, [("a, b", 5), ("c", 2)]),
        ("a::5\nb::1\n", None, [("a", 5), ("b", 1)]),
        ("me|a|5\nme|b|1\n", None, [("a", 5), ("b", 1)]),
        ("x,grade,what,y\n1,2,a,3\n", "item=what,rating=grade", [("a", 2)]),
        ("1,2,a,3\n", "item=2,rating=1", [("a", 2)]),
    ],
)
def test_files_of_own_ratings_come_in_many_forms(tmp_path, text, columns, expected):
    (tmp_path / "mine").write_text(text, encoding="utf-8")
    assert own_ratings(tmp_path / "mine", columns) == expected


@pytest.mark.parametrize(
    ("text", "columns", "message"),
    [
        ("", None, "must have an item and a rating on each line"),
        ("a 4\n", None, "must have an item and a rating on each line"),
        ("item,rating\n", None, "holds a header but no rating"),
        ("a,4\nb,good\n", None, "ratings in .* must be numbers, got 'good' in 'b good'"),
        ("a,b,c,d\n1,2,3,4\n", None, "cannot tell items from ratings"),
        ("a,b\n1,2\n", "item=z", "--columns item=z is not in .*; its first line has: a, b"),
        ("a,b\n1,2\n", "rating=7", "--columns rating=7 is not in"),
    ],
)
def test_files_that_cannot_be_read_say_why(tmp_path, text, columns, message):
    (tmp_path / "mine").write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=message):
        own_ratings(tmp_path / "mine", columns)


def test_lists_of_ids_are_typed_like_the_models():
    assert typed_ids(None, np.array([1])) is None
    assert typed_ids("7, 8,,x", np.array([7])) == [7, 8, "x"]
    assert typed_ids("007,8", pd.Series(["007"]).to_numpy()) == ["007", "8"]
