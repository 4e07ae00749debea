import re
from itertools import count, pairwise

import numpy as np
import pandas as pd
import pytest

from nmf_scratch import NMF
from nmf_scratch.data.dataset import Dataset
from nmf_scratch.evaluation.comparison import compare
from nmf_scratch.evaluation.diagnosis import hold_out
from nmf_scratch.evaluation.metrics import rmse
from nmf_scratch.report import SECTIONS, make_page
from nmf_scratch.report.examples import chosen
from nmf_scratch.report.markup import Column, Html, element, listed, table
from nmf_scratch.report.material import Comparison, Material, data_of, is_of

from .pages import Page

HOSTILE = "<script>\"&']]>"


def shop(title=None):
    """Return 360 ratings of 25 items by 40 users, with a title for each item if asked."""
    cells = np.random.default_rng(7).permutation(40 * 25)[:360]
    ratings = pd.DataFrame(
        {"user": cells // 25 + 100, "item": cells % 25, "rating": np.random.default_rng(8).integers(1, 6, 360) * 1.0}
    )
    items = None if title is None else pd.DataFrame({"item": range(25), "title": [f"{title} {i}" for i in range(25)]})
    return Dataset("shop & co", ratings, items=items)


def fitted(dataset):
    return NMF(3, solver="cd", max_iter=5, random_state=0).fit(dataset)


@pytest.fixture(scope="module")
def material():
    """Everything a report can have, with titles that try to break out of the page."""
    data = shop(HOSTILE)
    model = fitted(data)
    solvers = compare(data, solvers=["cd", "mu"], n_components=2, max_iter=4, cv=2)
    solvers["seconds"] = 10.0 ** solvers["epoch"]  # the same on every machine
    means = {"NMF, cd, k = 3": 1.25, "bias model": 1.5}
    scores = {
        "mean": {
            name: {
                "rmse": error,
                "rmse_standard_error": 0.01,
                "mae": error / 2,
                "mae_standard_error": 0.02,
                "median_fit_seconds": 0.1,
            }
            for name, error in means.items()
        },
        "by_fold": {"NMF, cd, k = 3": {"rmse": [1.2, 1.3]}},
    }
    return Material(
        model,
        data,
        run={"command": "nmf-scratch train --dataset 'a b'", "versions": {"numpy": "2.0"}},
        scores=scores,
        validation=model.history_,
        held_out=hold_out(model),
        comparison=Comparison(solvers, 1.1, brief=True),
        command="nmf-scratch report",
    )


@pytest.fixture(scope="module")
def made(material):
    """Return the page, with sketches of its figures, and the sections that were told of while it was made."""
    told, drawn = [], count()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("nmf_scratch.report.pictures.figure_bytes", lambda figure, form: b"%d" % next(drawn))
        return make_page(material, told=told.append), told


@pytest.fixture(scope="module")
def text(made):
    return made[0]


@pytest.fixture(scope="module")
def page(text):
    return Page(text)


@pytest.fixture(scope="module")
def bare():
    """Report on a model without titles and run folder."""
    model = fitted(shop())
    return Page(make_page(Material(model, data_of(model))))


class TestForm:
    def test_ids_are_unique_and_links_and_labels_lead_to_them(self, page):
        ids = page.all(None, "id")
        assert len(ids) == len(set(ids))
        assert {link for link in page.all("a", "href") if not link.startswith("#")} == set()
        pointed = {link.removeprefix("#") for link in page.all("a", "href")}
        assert pointed | set(page.all(None, "aria-labelledby")) <= set(ids)
        assert {"content", "summary", "data", "origin"} <= pointed

    def test_nothing_comes_from_elsewhere(self, text, page):
        sources = [*page.all(None, "src"), *page.all(None, "srcset")]
        assert sources
        assert all(source.startswith("data:image/") for source in sources)
        assert page.all("link", "href") == []
        assert re.search(r"@import|url\(", text[: text.index("</style>")]) is None

    def test_every_picture_has_words_and_both_themes(self, page):
        alternatives = page.all("img", "alt")
        assert len(alternatives) > 5
        assert all(alternatives)
        assert len(page.all("source", "srcset")) == len(alternatives)
        assert not set(page.all("source", "srcset")) & set(page.all("img", "src"))

    def test_headings_skip_no_level_and_the_page_names_itself(self, page):
        levels = [int(tag[1]) for tag, _ in page.elements if re.fullmatch("h[1-6]", tag)]
        assert levels[0] == 1
        assert levels.count(1) == 1
        assert all(after <= before + 1 for before, after in pairwise(levels))
        assert page.all("html", "lang") == ["en"]
        assert "NMF, cd, k = 3, on shop & co" in page.text

    def test_every_table_has_a_caption_and_can_be_reached(self, page):
        boxes = [attrs for _, attrs in page.elements if attrs.get("class") == "scroll"]
        assert len(boxes) == len([tag for tag, _ in page.elements if tag == "table"]) > 5
        assert all(box["tabindex"] == "0" and box["aria-labelledby"] for box in boxes)

    @pytest.mark.slow
    def test_the_same_material_gives_the_same_bytes(self, material):
        assert make_page(material) == make_page(material)

    def test_sections_are_told_in_order(self, made):
        assert made[1] == list(SECTIONS)


class TestContent:
    def test_hostile_titles_stay_text(self, text, page):
        assert text.count("<script>") == 1
        assert HOSTILE in " ".join(page.words)
        assert any(HOSTILE in words for words in page.all("img", "alt"))

    def test_scores_are_those_of_the_run(self, page):
        assert "off by 1.2500 ± 0.0100 (RMSE on a scale from 1 to 5) and by 0.6250 on average" in page.text
        assert "16.7 % below the bias model's, 1.5000" in page.text

    def test_the_data_is_counted(self, page):
        assert "shop & co holds 360 ratings of 25 items by 40 users: 36 % of all pairs are known." in page.text

    def test_training_is_told_from_the_history(self, page, material):
        history = material.model.history_.to_frame()
        fell = 100 * history["objective"].iloc[-1] / history["objective"].iloc[0]
        assert f"down to {fell:.3g} % of its start; it ended after {history['epoch'].iloc[-1]} epochs" in page.text

    def test_the_held_out_error_is_that_of_the_fit(self, page, material):
        held = material.held_out
        error = rmse(held.test["rating"], held.model.predict(held.test[["user", "item"]]))
        assert f"288 ratings and its predictions of 72 others: RMSE {error:.4f}" in page.text

    def test_recommendations_are_the_models_and_parts_add_up(self, page, material):
        user = chosen(material.model)[0]
        best = material.model.recommend(user, n=1).iloc[0]
        assert f"To user {user}, who gave the most ratings, the model recommends {best['title']} first" in page.text
        assert f"(score {best['score']:.2f})" in page.text
        assert f"for user {user}: {best['score']:.2f}" in page.text

    def test_users_are_the_busiest_a_middling_and_the_quietest(self, material):
        counts = material.dataset.ratings["user"].value_counts()
        busiest, middle, quietest = (counts[user] for user in chosen(material.model))
        assert busiest == counts.max() > middle > quietest == counts.min()

    def test_the_verdict_on_solvers_is_that_of_the_table(self, page, material):
        last = material.comparison.table.query("epoch == 4").groupby("solver")["test_rmse"].mean()
        assert f"Of 2 solvers, {last.idxmin()} ended with the lowest error" in page.text
        assert f"{last.min():.4f} on a scale from 1 to 5" in page.text

    def test_what_makes_it_again_is_there(self, page):
        for words in ("nmf-scratch train --dataset 'a b'", "nmf-scratch report", "numpy 2.0"):
            assert words in page.text


class TestWhatIsMissing:
    def test_it_is_left_out_with_a_word(self, bare):
        for words in (
            "Not known, and therefore left out: titles, genres, who the users are and when a rating was given.",
            "No genres are known",
            "not cross-validated",
            "Solvers were not compared",
            "The model stands in no run folder",
            "No fit with ratings held out was kept",
        ):
            assert words in bare.text

    def test_items_without_titles_are_told_by_their_ids(self, bare):
        assert re.search(r"the model recommends item \d+ first", bare.text)


def test_a_data_set_is_recognised_in_any_order_and_not_with_another_rating():
    data = shop()
    model = fitted(data)
    assert is_of(model, data)
    assert is_of(model, Dataset("shuffled", data.ratings.iloc[::-1]))
    other = data.ratings.assign(rating=data.ratings["rating"].where(data.ratings.index > 0, 2.5))
    assert not is_of(model, Dataset("other", other))


def test_markup_escapes_text_but_not_markup():
    assert element("p", "a<b", Html("<br>"), None, title='"', hidden=True, lang=None) == (
        '<p title="&quot;" hidden>a&lt;b<br></p>'
    )


def test_numbers_in_tables_carry_their_value_and_absent_ones_a_dash():
    made = table("T", [Column("a"), Column("b", "{:.1f}")], [["x", 1.25], ["y", float("nan")]])
    assert '<td class="number" data-value="1.25">1.2</td>' in made
    assert '<td class="number">–</td>' in made


def test_words_are_listed_as_in_a_sentence():
    assert [listed(words) for words in (["a"], ["a", "b"], [1, 2, 3])] == ["a", "a and b", "1, 2 and 3"]
