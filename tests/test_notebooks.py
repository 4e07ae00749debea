"""What a notebook shows by itself: pictures with their text, tables, and nothing that a title could break out of."""

import re

import nbclient
import nbformat
import pytest

from nmf_scratch import NMF, InputError
from nmf_scratch._html import ROWS, summary
from nmf_scratch.evaluation.tuning import tune
from nmf_scratch.history import EpochRecord, TrainingHistory
from nmf_scratch.plots.model import PICTURES
from nmf_scratch.plots.style import alt_text

CELLS = """
from nmf_scratch import NMF, load_dataset
data = load_dataset("demo")
model = NMF(4, solver="cd", max_iter=8, random_state=0, verbose=True).fit(data)
---
model.plot()
---
model.history_
---
model.explain(1, 2)
---
model.fold_in({1: 5, 2: 3})
---
from nmf_scratch.plots.dataset import plot_long_tail
plot_long_tail([5, 3, 1], [4, 4, 1])
---
from nmf_scratch.evaluation.demonstrations import paths
from nmf_scratch.plots.animation import animate_paths
animate_paths(paths(1))
---
from nmf_scratch.evaluation.tuning import tune
tune(NMF(2, solver="cd"), data, space={"alpha": [0.01, 0.1]}, n_candidates=2, cv=2)
"""


@pytest.fixture(scope="module")
def model(demo):
    return NMF(4, solver="cd", max_iter=8, random_state=0).fit(demo)


@pytest.mark.slow
@pytest.mark.compiled
def test_a_notebook_shows_pictures_and_tables_without_magic(tmp_path):
    cells = [nbformat.v4.new_code_cell(cell) for cell in CELLS.strip().split("\n---\n")]
    notebook = nbformat.v4.new_notebook(cells=cells)
    nbclient.NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}}).execute()
    fitting, *shown = [cell["outputs"] for cell in notebook.cells]
    bar = fitting[-1]["data"]["text/html"]
    assert re.fullmatch(r'cd, k = 4 <progress max="8" value="8"></progress> 8/8 RMSE \d\.\d{4}', bar)
    pages = [outputs[-1]["data"]["text/html"] for outputs in shown]
    picture, history, explanation, user, tail, player, search = pages
    for page in (picture, tail):
        assert re.fullmatch(r'<img alt="[^"]{40,}" width="\d+" src="data:image/png;base64,[^"]+">', page)
    assert re.match(
        r"<p>9 records\. epoch 8: the rows of 0 items and \d+ users were solved exactly</p><table>", history
    )
    assert "user bias" in explanation
    assert "A new user with 2 ratings." in user
    assert "■" in player
    assert "https" not in re.sub(r"base64,[^\"']*", "", player)
    assert "Best of 4 trials" in search  # the model itself is one of them


@pytest.mark.parametrize("what", PICTURES)
def test_a_model_draws_itself(model, what):
    figure = model.plot(what)
    assert len(alt_text(figure)) > 40
    assert figure.axes


def test_what_cannot_be_drawn_is_said(model, demo):
    with pytest.raises(InputError, match="what='factor' is unknown"):
        model.plot("factor")
    with pytest.raises(InputError, match="needs genres"):
        NMF(1, max_iter=1).fit([("a", 1), ("b", 1)], [1, 2]).plot("genres")
    with pytest.raises(InputError, match="not fitted"):
        NMF().plot()


class TestSummary:
    def test_titles_are_text(self):
        page = summary("<b>", ["<i>"], [["<script>", 1.0]])
        assert page == (
            "<p>&lt;b&gt;</p><table><tr><th>&lt;i&gt;</th></tr><tr><td>&lt;script&gt;</td><td>1</td></tr></table>"
        )

    def test_of_long_tables_both_ends_are_shown(self):
        page = summary("long", ["n"], [[n] for n in range(ROWS + 5)])
        cells = [int(cell) for cell in re.findall(r"<td>(\d+)</td>", page)]
        assert cells == [*range(ROWS // 2), *range(ROWS + 5 - ROWS // 2, ROWS + 5)]
        assert "… 5 more …" in page

    def test_numbers_are_short_and_what_is_missing_blank(self):
        page = summary("", ["a", "b", "c"], [[1.23456789, float("nan"), 7]])
        assert re.findall("<td>(.*?)</td>", page) == ["1.2346", "", "7"]


def test_a_history_shows_what_was_recorded_and_what_happened():
    nan = float("nan")
    run = TrainingHistory([EpochRecord(0, 0.0, 5.0, 1.5, nan, nan)], ["step halved to <0.1>"])
    page = run._repr_html_()
    assert "1 records. step halved to &lt;0.1&gt;" in page
    assert re.findall("<th>(.*?)</th>", page) == ["epoch", "seconds", "objective", "train_rmse"]


def test_an_explanation_shows_what_it_prints(model):
    explanation = model.explain(1, 2)
    page = explanation._repr_html_()
    assert f": {explanation.score:.2f}</p>" in page
    assert page.count("<tr>") == 1 + len(explanation.lines())


def test_a_new_user_is_introduced(model):
    with pytest.warns(UserWarning, match="not seen in training"):
        page = model.fold_in({1: 5, 2: 3, "no such film": 4})._repr_html_()
    assert "A new user with 2 ratings, and 1 that the model does not know." in page
    assert re.findall("<td>(.*?)</td>", page) == ["1", "5", "2", "3"]


def test_a_search_names_its_best_first(demo):
    found = tune(NMF(2, solver="cd", max_iter=2), demo.ratings[:2000], space={"alpha": [0.01, 10.0]}, n_candidates=None)
    page = found._repr_html_()
    assert f"RMSE {found.best_rmse:.4f}: alpha = {found.best['alpha']}" in page
    assert page.count("<tr>") == 1 + len(found.table)
