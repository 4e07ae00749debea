import itertools

import numpy as np
import pandas as pd
import pytest
from legibility import assert_legible, both_themes, shown_texts

from nmf_scratch.fitted.explanation import Explanation
from nmf_scratch.plots.predictions import plot_explanation, waterfall_steps
from nmf_scratch.plots.style import alt_text, use_theme

LONG = (
    "Science Fiction: Dr. Strangelove or: How I Learned to Stop Worrying and Love the Bomb (1963), Another Title (2001)"
)


def explanation(contributions, biases=(1.5, 1.25), title="A Film (1999)"):
    parts = [("user bias", biases[0], ""), ("item bias", biases[1], "")] if biases else []
    parts += [(f"factor {f}", value, LONG) for f, value in enumerate(contributions)]
    table = pd.DataFrame(parts, columns=["part", "contribution", "about"])
    reasons = pd.DataFrame({"factor": [], "item": [], "rating": [], "influence": []})
    return Explanation("u1", 7, title, float(table["contribution"].sum()), table, reasons)


@pytest.mark.parametrize("biases", [(1.5, 1.25), ()])
@pytest.mark.parametrize("k", [1, 6, 7, 40])
def test_steps_follow_on_each_other_and_end_at_the_score(k, biases):
    shown = explanation(np.sort(np.random.default_rng(k).random(k))[::-1] / 3, biases)
    *steps, score = waterfall_steps(shown)
    assert steps[0].start == 0
    assert all(before.end == after.start for before, after in itertools.pairwise(steps))
    assert steps[-1].end == pytest.approx(shown.score, abs=1e-12)
    assert (score.label, score.start, score.end) == ("score", 0, shown.score)
    assert [step.label for step in steps].count("other factors") == (k > 6)


def test_a_score_off_the_scale_is_clipped_in_a_last_step():
    last = waterfall_steps(explanation([3.0]), (1.0, 5.0))[-1]
    assert (last.label, last.start, last.end) == ("clipped to the scale, 1 to 5", 5.75, 5.0)
    assert waterfall_steps(explanation([1.0]), (1.0, 5.0))[-1].label == "score"
    low = waterfall_steps(explanation([0.1], biases=(0.2, 0.1)), (1.0, 5.0))[-1]
    assert (low.start, low.end) == pytest.approx((0.4, 1.0))


def test_bars_are_the_steps():
    shown = explanation([1.5, 1.0, 0.25])
    axes = plot_explanation(shown, rating_scale=(1.0, 5.0)).axes[0]
    bars = [(bar.get_x(), bar.get_x() + bar.get_width()) for bar in axes.patches]
    np.testing.assert_allclose(bars, [(step.start, step.end) for step in waterfall_steps(shown, (1.0, 5.0))])
    numbers = [text.get_text() for text in axes.texts]
    assert numbers == ["+1.50", "+1.25", "+1.50", "+1.00", "+0.25", "5.50", "−0.50"]
    heights = [bar.get_y() + bar.get_height() / 2 for bar in axes.patches]
    np.testing.assert_allclose(heights, axes.get_yticks())


@both_themes
@pytest.mark.parametrize("k", [1, 40])
def test_long_names_are_told_in_full(k, theme):
    with use_theme(theme):
        figure = plot_explanation(explanation(np.linspace(0.4, 0.01, k), title=LONG), rating_scale=(1.0, 5.0))
    assert_legible(figure)
    texts = [text.get_text().replace("\n", " ") for text in shown_texts(figure)]
    assert f"factor 0: {LONG}" in texts
    assert f"{LONG}, for user u1" in texts


def test_the_text_adds_up():
    text = alt_text(plot_explanation(explanation([1.5, 1.0]), rating_scale=(1.0, 5.0)))
    assert text.startswith(
        "A Film (1999) scores 5.25 for user u1: 2.75 by biases and 2.50 by factors, the largest 1.50 by"
    )
    assert text.endswith("It is clipped to 5.")


def test_a_mean_for_new_users_is_one_step():
    mean = pd.DataFrame({"part": ["mean rating"], "contribution": [3.5], "about": [""]})
    shown = Explanation("nobody", 7, "", 3.5, mean, explanation([1.0]).reasons)
    assert [step.label for step in waterfall_steps(shown)] == ["mean rating", "score"]
    assert_legible(plot_explanation(shown))
