"""The commands that ask a trained model, as somebody with a file of their own would use them."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from nmf_scratch import NMF, InputError, load_dataset
from nmf_scratch.cli._ids import known_item, own_ratings, typed_items


@pytest.fixture(scope="module")
def books(cli, tmp_path_factory):
    """Train on somebody's shop, with the commands: text ids with leading zeros, half stars, semicolons, titles."""
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


@pytest.fixture(scope="module")
def ranking(books):
    return NMF.load(books / "runs" / "latest" / "ranking.safetensors")


def asked(cli, books, *words):
    done = cli(*words, "-o", books / "runs", "--json")
    assert done.code == 0, done.err
    return json.loads(done.out)


class TestRecommend:
    def test_from_a_file_to_recommendations(self, cli, books, ranking):
        content = asked(cli, books, "recommend", "--user-ratings", books / "mine.csv", "-n", 5)
        folded = ranking.fold_in([("000000000X", 4.5), ("000000003X", 0.5), ("000000007X", 5)])
        expected = ranking.recommend(folded, n=5)
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

    def test_wishes(self, cli, books, ranking):
        best = ranking.recommend("reader-07", n=30)["item"].tolist()
        (books / "wanted.txt").write_text("\n".join(best[1:6]) + "\n", encoding="utf-8")
        words = ("--candidates", books / "wanted.txt", "--blocked", f"{best[2]}, {best[3]}")
        rows = asked(cli, books, "recommend", "reader-07", *words)["recommendations"]
        assert [row["item"] for row in rows] == [best[1], best[4], best[5]]
        rows = asked(cli, books, "recommend", "reader-07", "--diversity", 0.9, "-n", 5)["recommendations"]
        assert [row["item"] for row in rows] == ranking.recommend("reader-07", n=5, diversity=0.9)["item"].tolist()

    def test_a_file_without_any_known_item_is_refused(self, cli, books, tmp_path):
        (tmp_path / "alien.csv").write_text("a,1\nb,2\n", encoding="utf-8")
        done = cli("recommend", "--user-ratings", tmp_path / "alien.csv", "-o", books / "runs")
        assert done.code == 2
        assert "is known to the model, whose ids look like 000000000X" in done.err
        done = cli("recommend", "--user-ratings", tmp_path / "none.csv", "-o", books / "runs")
        assert done.code == 2
        assert "error: there is no file" in done.err


class TestExplain:
    def test_parts_add_up_to_the_score(self, cli, books, ranking):
        for who in (("reader-07", "000000005X"), ("--user-ratings", books / "mine.csv", "--item", "000000005X")):
            content = asked(cli, books, "explain", *who)
            assert sum(part["contribution"] for part in content["parts"]) == pytest.approx(content["score"], abs=1e-5)
            assert content["title"] == "Book 5; or not"
            assert content["reasons"]
        assert asked(cli, books, "explain", "--user-ratings", books / "mine.csv", "000000005X") == content

    def test_the_table_names_title_user_score_and_stars(self, cli, books, model, ranking):
        done = cli("explain", "reader-07", "000000005X", "-o", books / "runs")
        score, stars = ranking.explain("reader-07", "000000005X").score, model.predict([("reader-07", "000000005X")])[0]
        assert done.out.splitlines()[0].strip() == (
            f"Book 5; or not for user reader-07: score {score:.2f}, stars {stars:.2f}"
        )
        assert "factor " in done.out

    @pytest.mark.parametrize(
        ("words", "message"),
        [(("reader-07",), "name the item to explain"), (("--item", "000000005X"), "name a USER, or pass")],
    )
    def test_what_is_missing_is_named(self, cli, books, words, message):
        done = cli("explain", *words, "-o", books / "runs")
        assert done.code == 2
        assert message in done.err


class TestSimilarAndFactors:
    def test_similar(self, cli, books, model, ranking):
        rows = asked(cli, books, "similar", "--item", "000000005X", "-n", 4)["similar"]
        assert [row["item"] for row in rows] == [*ranking.similar_items("000000005X", 4, beside=model)["item"]]
        rows = asked(cli, books, "similar", "--user", "reader-07")["similar"]
        assert [row["user"] for row in rows] == [*ranking.similar_users("reader-07", beside=model)["user"]]
        done = cli("similar", "--item", "000000005X", "-n", 4, "-o", books / "runs")
        assert done.out.splitlines()[1].split() == ["#", "similarity", "item", "title", "ratings"]

    @pytest.mark.parametrize("words", [(), ("--item", "a", "--user", "b")])
    def test_one_of_the_two(self, cli, words):
        done = cli("similar", *words)
        assert (done.code, done.err) == (2, "error: pass --item or --user, one of the two\n")

    def test_factors(self, cli, books, ranking):
        rows = asked(cli, books, "factors", "-n", 2)["factors"]
        summary = ranking.factor_summary(2)
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
        ("", None, "is empty"),
        ("\n", None, "must have an item and a rating on each line"),
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


class TestTypedItems:
    """Ids and titles where a list of items is typed; an id goes before a title."""

    def items(self, text, model):
        return typed_items(text, model, "--blocked")

    def test_ids_and_whole_titles_with_commas_between(self, model):
        assert typed_items(None, model, "--blocked") is None
        assert self.items("000000003X, book 7 or not,,", model) == ["000000003X", "000000007X"]

    def test_a_title_may_hold_a_comma(self, ml_100k_model):
        assert self.items("Shining, The (1980)", ml_100k_model) == [200]
        assert self.items("fargo,shining,The Lion King", ml_100k_model) == [100, 200, 71]

    def test_part_of_a_title_is_unknown_here_and_said(self, model, capsys):
        assert self.items("Book 7,000000003X", model) == ["Book 7", "000000003X"]
        assert "not known to the model, and passed over: Book 7 (--blocked)" in capsys.readouterr().err

    def test_a_number_is_an_id_where_ids_are_numbers(self, ml_100k_model, capsys):
        assert self.items("2001,12", ml_100k_model) == [2001, 12]  # not 2001: A Space Odyssey, not 12 Angry Men
        assert "passed over: 2001 (" in capsys.readouterr().err

    def test_a_file_has_one_a_line(self, model, tmp_path):
        (tmp_path / "list").write_text("000000003X\n\nBook 7; or not\n", encoding="utf-8")
        assert self.items(str(tmp_path / "list"), model) == ["000000003X", "000000007X"]


@pytest.fixture(scope="module")
def ml_100k_model(ml_100k):
    return NMF(2, task="ranking", max_iter=1, random_state=0).fit(ml_100k)


class TestKnownItem:
    @pytest.mark.parametrize(
        ("text", "item"),
        [("50", 50), ("star wars", 50), ("Star Wars (1977)", 50), ("the shining", 200), ("alien", 183),
         ("lion king", 71), ("A Nightmare on Elm Street", 219), ("nightmare on elm street", 219),
         ("postino", 14), ("It's a Wonderful Life", 496), ("Chasing Amy", 268), ("amelie poulain", None)],
    )  # fmt: skip
    def test_ids_titles_and_words_of_one_title(self, ml_100k_model, text, item):
        if item is None:
            with pytest.raises(InputError, match="is neither an id nor a title that the model knows"):
                known_item(text, ml_100k_model)
        else:
            assert known_item(text, ml_100k_model) == item

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("star", r"'star' may be any of Star Wars \(1977\) \(id 50\), .* and 14 more: type the whole title"),
            ("godfater", r"did you mean Godfather, The \(1972\) \(id 127\)"),
            ("2001", r"'2001' is neither an id .*did you mean 2001: A Space Odyssey \(1968\) \(id 135\)"),
            ("qqqq", "`nmf-scratch items WORDS` looks titles up"),
        ],
    )
    def test_what_may_be_meant_is_named(self, ml_100k_model, text, message):
        with pytest.raises(InputError, match=message):
            known_item(text, ml_100k_model)

    def test_without_titles_only_ids_are_known(self, shop):
        model = NMF(2, max_iter=1, random_state=0).fit(load_dataset(shop))
        assert known_item("b03", model) == "b03"
        with pytest.raises(InputError, match="'b0' is neither an id nor a title"):
            known_item("b0", model)


class TestUserAndItems:
    def test_items_by_words_of_their_titles(self, cli, books, model):
        content = asked(cli, books, "items", "book", "7")
        assert (content["found"], content["items"][0]["title"]) == (1, "Book 7; or not")
        assert content["items"][0]["item"] == "000000007X"
        counts = dict(zip(model.item_ids_, model.fitted_.ratings.item_counts.tolist(), strict=True))
        content = asked(cli, books, "items", "BOOK", "-n", 4)
        assert content["found"] == 30
        assert [row["n_ratings"] for row in content["items"]] == sorted(counts.values(), reverse=True)[:4]

    def test_the_table_of_items(self, cli, books):
        done = cli("items", "book 7", "-o", books / "runs")
        assert done.out.splitlines()[0].strip() == "1 found"
        assert done.out.splitlines()[3].split()[:6] == ["000000007X", "Book", "7;", "or", "not", "crime,"]

    def test_no_such_words_and_no_titles(self, cli, books, shop, tmp_path):
        done = cli("items", "boook 7 or not", "-o", books / "runs")
        assert (done.code, "did you mean Book 7; or not (id 000000007X)" in done.err) == (2, True)
        NMF(2, max_iter=1, random_state=0).fit(load_dataset(shop)).save(tmp_path / "m.safetensors")
        assert "knows no titles: train with --items" in cli("items", "x", "--model", tmp_path / "m.safetensors").err

    def test_what_a_user_rated_and_the_list_beside_it(self, cli, books):
        content = asked(cli, books, "user", "reader-03", "-n", 5)
        ratings = load_dataset(books / "ratings.csv").ratings.query("user == 'reader-03'")
        assert content["n_ratings"] == len(ratings)
        assert content["mean_rating"] == pytest.approx(ratings["rating"].mean())
        highest = sorted(ratings["rating"], reverse=True)[:5]
        assert [row["rating"] for row in content["rated_highest"]] == highest
        liked = ratings[ratings["rating"] >= ratings["rating"].mean()]["item"]
        crime = sum(int(item[:-1]) % 2 for item in liked)
        assert content["genres"]["crime"] == content["genres"]["noir"] == crime
        assert content["genres"]["poetry"] == len(liked) - crime
        listed = asked(cli, books, "recommend", "reader-03", "-n", 5)["recommendations"]
        assert content["recommendations"] == listed

    def test_the_tables_of_a_user(self, cli, books):
        out = cli("user", "reader-03", "-n", 2, "-o", books / "runs").out
        assert "rated highest" in out.splitlines()[0]
        assert "genres of what they liked:" in " ".join(out.split())
        assert "Recommended" in out

    def test_who_a_user_is_where_the_run_knows(self, cli, demo_runs, tmp_path):
        run = tmp_path / "run"
        shutil.copytree(demo_runs / "latest", run)
        text = "user,age,job,zip\n7,24,writer,00501\n8,30,,\n"
        (run / "users.csv").write_text(text, encoding="utf-8")
        words = ("user", 7, "--model", run / "ranking.safetensors")
        assert json.loads(cli(*words, "--json").out)["about"] == {"age": "24", "job": "writer", "zip": "00501"}
        assert "age: 24, job: writer, zip: 00501" in cli(*words).out
        assert json.loads(cli("user", 8, *words[2:], "--json").out)["about"] == {"age": "30"}
        assert json.loads(cli("user", 9, *words[2:], "--json").out)["about"] == {}

    @pytest.mark.parametrize("words", ["user nobody", "explain nobody 000000003X", "similar --user nobody"])
    def test_a_user_who_does_not_exist(self, cli, books, words):
        done = cli(*words.split(), "-o", books / "runs")
        assert done.code == 2
        said = "error: user 'nobody' was not seen in training: the model knows 50 users, from reader-00"
        assert done.err.startswith(said)

    def test_an_item_that_does_not_exist_is_not_explained(self, cli, books):
        done = cli("explain", "reader-03", "banana", "-o", books / "runs")
        assert (done.code, done.out) == (2, "")
        assert done.err.startswith("error: item 'banana' is neither an id nor a title that the model knows")


class TestTwoModels:
    """A run has a model that sorts and one that predicts ratings; a file named by --model answers alone."""

    def test_order_by_one_and_stars_by_the_other(self, cli, books, model, ranking):
        rows = asked(cli, books, "recommend", "reader-03")["recommendations"]
        expected = ranking.recommend("reader-03")
        assert [row["item"] for row in rows] == expected["item"].tolist()
        stars = model.predict([("reader-03", item) for item in expected["item"]])
        np.testing.assert_allclose([row["stars"] for row in rows], stars)

    def test_a_new_user_is_folded_into_both(self, cli, books, model, ranking):
        rows = asked(cli, books, "recommend", "--user-ratings", books / "mine.csv")["recommendations"]
        given = [("000000000X", 4.5), ("000000003X", 0.5), ("000000007X", 5.0)]
        expected = ranking.recommend(ranking.fold_in(given))
        assert [row["item"] for row in rows] == expected["item"].tolist()
        new = model.fold_in(given)
        np.testing.assert_allclose([r["stars"] for r in rows], model.predict([(new, i) for i in expected["item"]]))

    def test_an_unknown_user_gets_stars_of_an_average_one(self, cli, books, model):
        rows = asked(cli, books, "recommend", "nobody")["recommendations"]
        stars = model.predict([("nobody", row["item"]) for row in rows])
        np.testing.assert_allclose([row["stars"] for row in rows], stars)

    @pytest.mark.parametrize("name", ["model", "ranking"])
    def test_a_file_alone(self, cli, books, name):
        file = books / "runs" / "latest" / f"{name}.safetensors"
        content = asked(cli, books, "recommend", "reader-03", "--model", file)
        assert ("stars" in content["recommendations"][0]) == (name == "model")
        assert content["ratings_model"] == (str(file) if name == "model" else None)
        assert content["recommendations"][0]["item"] == NMF.load(file).recommend("reader-03")["item"].iloc[0]

    def test_an_old_run_with_one_model_answers(self, cli, books, tmp_path):
        (tmp_path / "old").mkdir()
        (tmp_path / "latest").write_text("old\n", encoding="utf-8")
        (tmp_path / "old" / "model.safetensors").write_bytes((books / "runs/latest/model.safetensors").read_bytes())
        done = cli("recommend", "reader-03", "-o", tmp_path)
        assert done.err == f"model: {tmp_path / 'old' / 'model.safetensors'}\n"

    def test_reasons_neighbours_and_factors_are_those_of_the_lists(self, cli, books, model, ranking):
        explained = asked(cli, books, "explain", "reader-03", "Book 7; or not")
        assert explained["score"] == pytest.approx(ranking.explain("reader-03", "000000007X").score)
        assert explained["stars"] == pytest.approx(model.predict([("reader-03", "000000007X")])[0])
        near = asked(cli, books, "similar", "--item", "book 7 or not")["similar"]
        assert [row["item"] for row in near] == ranking.similar_items("000000007X", beside=model)["item"].tolist()
        alone = cli(
            "similar", "--item", "book 7 or not", "--model", books / "runs/latest/ranking.safetensors", "--json"
        )
        near = json.loads(alone.out)["similar"]
        assert [row["item"] for row in near] == ranking.similar_items("000000007X")["item"].tolist()
        named = asked(cli, books, "factors")["factors"]
        assert [row["titles"] for row in named] == ranking.factor_summary(3)["titles"].tolist()


@pytest.fixture(scope="module")
def numbered(tmp_path_factory):
    """Save a model of three users and sixty items with long numbers for ids."""
    pairs = [(u, 100_000 + i) for u in range(3) for i in range(60) if (u + i) % 2]
    path = tmp_path_factory.mktemp("numbered") / "m.safetensors"
    NMF(2, solver="als", random_state=0, max_iter=3).fit(pairs, [1 + sum(p) % 5 for p in pairs]).save(path)
    return path


class TestLists:
    def test_they_may_be_longer_than_a_name_of_a_file(self, cli, numbered):
        blocked = ",".join(str(100_000 + i) for i in range(41))
        done = cli("recommend", "--model", numbered, "1", "-n", 60, "--blocked", blocked, "--json")
        assert done.code == 0, done.err
        items = [row["item"] for row in json.loads(done.out)["recommendations"]]
        assert items
        assert min(items) > 100_040

    def test_a_file_that_is_named_like_an_item_does_not_hide_it(self, cli, numbered, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        Path("100001").touch()
        done = cli("recommend", "--model", numbered, "1", "--candidates", "100001", "--json")
        assert done.code == 0, done.err
        assert [row["item"] for row in json.loads(done.out)["recommendations"]] == [100_001]

    @pytest.mark.parametrize("user", ["", " "])
    def test_an_empty_user_is_nobody(self, cli, numbered, user):
        done = cli("recommend", "--model", numbered, user)
        assert (done.code, done.out) == (2, "")
        assert "USER is empty" in done.err

    def test_ids_in_messages_are_as_they_were_typed(self, cli, numbered):
        done = cli("similar", "--model", numbered, "--item", "5")
        assert done.code == 2
        assert "np." not in done.err


class TestImplicit:
    @pytest.mark.parametrize("command", ["train", "evaluate"])
    def test_counts_are_refused_where_errors_would_be_measured(self, cli, plays, tmp_path, command):
        where = ("-o", tmp_path / "runs") if command == "train" else ()
        done = cli(command, "-d", plays, *where)
        assert (done.code, done.out) == (2, "")
        assert "error: the ratings of plays are counts, not a scale: from 1 to" in done.err
        assert "Pass --implicit to learn lists" in done.err
        assert not (tmp_path / "runs").exists()

    @pytest.mark.parametrize("command", ["train", "evaluate", "compare", "tune", "data stats"])
    def test_pairs_without_ratings_are_refused_where_ratings_are_needed(self, cli, plays, command):
        done = cli(*command.split(), "-d", plays.with_name("played.csv"))
        assert (done.code, done.out) == (2, "")
        assert "or implicit=True (option --implicit) if it holds choices without ratings" in done.err

    @pytest.mark.parametrize("name", ["plays.csv", "played.csv"])
    def test_lists_are_learnt_from_them(self, cli, plays, tmp_path, name):
        options = ("--implicit", "-k", 4, "--folds", 3, "-o", tmp_path)
        done = cli("train", "-d", plays.with_name(name), *options, "--json")
        assert done.code == 0, done.err
        means = json.loads(done.out)["mean"]
        assert list(means) == ["popularity", "NMF, ranking"]
        assert means["NMF, ranking"]["ndcg"] > 1.3 * means["popularity"]["ndcg"]
        run = tmp_path / "latest"
        assert sorted(path.name for path in run.iterdir()) == [
            "convergence.png", "history.csv", "metrics.json", "ranking.safetensors", "run.json",
        ]  # fmt: skip
        assert NMF.load(run / "ranking.safetensors").fitted_.preference.logarithmic == (name == "plays.csv")
        listed = json.loads(cli("recommend", 0, "-n", 5, "-o", tmp_path, "--json").out)["recommendations"]
        assert "stars" not in listed[0]
        assert all(int(row["item"].split()[1]) < 20 for row in listed[:3])

    def test_evaluate_scores_lists(self, cli, plays):
        done = cli("evaluate", "-d", plays, "--implicit", "-k", 4, "--folds", 2, "--json")
        assert done.code == 0, done.err
        assert list(json.loads(done.out)["mean"]) == ["popularity", "item-kNN", "EASE", "NMF, ranking"]

    def test_the_table_has_no_row_for_errors_of_ratings(self, cli, plays):
        done = cli("evaluate", "-d", plays, "--implicit", "-k", 2, "--folds", 2)
        assert "nDCG" in done.out
        assert "RMSE" not in done.out
