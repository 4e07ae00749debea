import numpy as np
from legibility import assert_legible, both_themes

from nmf_scratch.evaluation.diagnosis import Exposure
from nmf_scratch.plots.predictions import plot_exposure
from nmf_scratch.plots.style import alt_text, use_theme

RATED = np.array([50, 30, 10, 6, 4])
EXPOSURES = {
    "NMF": Exposure(np.array([2, 0, 0, 1, 1]), RATED, 0.6, 0.5),
    "the bias model": Exposure(np.array([4, 0, 0, 0, 0]), RATED, 0.2, 0.0),
}


def test_curves_are_running_shares():
    axes = plot_exposure(EXPOSURES, 2, 10).axes[0]
    curves = {line.get_label().split(":")[0]: line.get_ydata() for line in axes.lines}
    np.testing.assert_allclose(curves["ratings trained on"], [0, 0.5, 0.8, 0.9, 0.96, 1])
    np.testing.assert_allclose(curves["lists of NMF"], [0, 0.5, 0.5, 0.5, 0.75, 1])
    np.testing.assert_allclose(curves["lists of the bias model"], [0, 1, 1, 1, 1, 1])
    (border,) = (line for line in axes.lines if list(line.get_xdata()) == [0.4, 0.4])
    assert border is not None


def test_the_text_names_coverage_and_tail():
    assert alt_text(plot_exposure(EXPOSURES, 2, 10)) == (
        "The long tail are 60% of the items, with a fifth of the ratings; lists of NMF hold 60% of the items and give "
        "50% of their places to it; lists of the bias model hold 20% of the items and give 0% of their places to it."
    )


@both_themes
def test_it_can_be_read(theme):
    with use_theme(theme):
        assert_legible(plot_exposure(EXPOSURES, 2, 10))
