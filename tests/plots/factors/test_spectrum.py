import numpy as np
import pandas as pd
import pytest
from legibility import assert_legible, both_themes

from nmf_scratch.plots.factors import plot_explained, plot_spectrum
from nmf_scratch.plots.style import alt_text, new_figure, use_theme

STRENGTHS = pd.DataFrame(
    {
        "part": ["factor 1", "factor 0", "user bias", "item bias"],
        "strength": [0.4, 0.3, 1.2, 1.1],
        "explained": [0.2, 0.1, 0.15, 0.05],
    }
)
SINGULAR = [0.6, 0.2]


def test_the_spectrum_is_sorted_and_biases_are_no_part_of_it():
    axes = plot_spectrum(STRENGTHS, SINGULAR).axes[0]
    by_label = {line.get_label(): list(line.get_ydata()) for line in axes.lines}
    assert by_label == {
        "singular values of WHᵀ": [0.6, 0.2],
        "factors, ‖w‖ ‖h‖": [0.4, 0.3],
        "user bias": [1.2, 1.2],
        "item bias": [1.1, 1.1],
    }
    assert "the user bias 1.20, the item bias 1.10; 38% of the square of the product is overlap" in alt_text(
        axes.figure
    )


def test_dots_stand_at_squared_strength_and_explained_share():
    axes = plot_explained(STRENGTHS).axes[0]
    (dots,) = (line for line in axes.lines if line.get_marker() == "o")
    np.testing.assert_allclose(dots.get_xydata(), [[0.64, 0.2], [0.36, 0.1]])
    (line,) = (line for line in axes.lines if line.get_linestyle() == "--")
    assert line.get_ydata()[1] / line.get_xdata()[1] == pytest.approx(0.3)
    assert sorted(text.get_text() for text in axes.texts) == ["0", "1"]
    assert "explain 30% of the variance, factor 1 alone 20.0%; biases explain 20%." in alt_text(axes.figure)


@both_themes
@pytest.mark.parametrize("k", [1, 60])
def test_both_can_be_read(k, theme):
    rng = np.random.default_rng(0)
    parts = [f"factor {f}" for f in range(k)]
    strengths = pd.DataFrame(
        {"part": parts, "strength": np.sort(rng.random(k))[::-1], "explained": rng.normal(0, 0.01, k)}
    )
    with use_theme(theme):
        figure = new_figure(11.5, 4.4, "A title")
        left, right = figure.subplots(1, 2)
        plot_spectrum(strengths, np.sort(rng.random(k))[::-1], axes=left)
        plot_explained(strengths, axes=right)
    assert_legible(figure)
