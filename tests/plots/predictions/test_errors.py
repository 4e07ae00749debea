"""Residuals, calibration and groups: dots and bars where the tables say."""

import numpy as np
import pandas as pd
import pytest
from legibility import assert_legible, both_themes

from nmf_scratch.evaluation.diagnosis import calibration_bins, residuals_by_rating
from nmf_scratch.plots.predictions import (
    plot_calibration,
    plot_errors,
    plot_errors_by_count,
    plot_groups,
    plot_residuals,
)
from nmf_scratch.plots.style import alt_text, use_theme


def evaluated(n=3000, levels=5):
    """Make predictions that say 3 + (r − 3) / 2 plus noise for a true rating r."""
    rng = np.random.default_rng(0)
    rating = rng.integers(1, levels + 1, n).astype(float)
    table = pd.DataFrame({"user": rng.integers(0, 99, n), "item": rng.integers(0, 99, n), "rating": rating})
    table["prediction"] = np.clip(3 + (rating - 3) / 2 + 0.6 * rng.standard_normal(n), 1, levels)
    table["bias_model"] = 3.0
    for side in ("user", "item"):
        table[f"{side}_ratings"] = table[side] * 12345
        table[f"{side}_group"] = table[side] // 10 + 1
    return table


def dots(axes, marker="o"):
    (found,) = (line for line in axes.lines if line.get_marker() == marker)
    return found.get_xydata()


def test_boxes_are_the_quantiles():
    table = residuals_by_rating(evaluated())
    axes = plot_residuals(table).axes[0]
    boxes = [(bar.get_y(), bar.get_y() + bar.get_height()) for bar in axes.patches]
    np.testing.assert_allclose(boxes, table[["q25", "q75"]])
    np.testing.assert_allclose(dots(axes, "D")[:, 1], table["mean"])
    whiskers, medians = axes.collections
    np.testing.assert_allclose([path.vertices[:, 1] for path in whiskers.get_paths()], table[["q5", "q95"]])
    np.testing.assert_allclose([path.vertices[0, 1] for path in medians.get_paths()], table["q50"])
    assert [label.get_text().split("\n")[0] for label in axes.get_xticklabels()] == ["1", "2", "3", "4", "5"]
    first, last = table["mean"].iloc[0], table["mean"].iloc[-1]
    assert f"Ratings of 1 are predicted {-first:.2f} too high, ratings of 5 {last:.2f} too low" in alt_text(axes.figure)


def test_calibration_stands_at_the_means_with_counts_below_them():
    table = calibration_bins(evaluated())
    axes = plot_calibration(table).axes[0]
    shown = table[table["n"] >= 20]
    np.testing.assert_allclose(dots(axes), shown[["predicted", "observed"]])
    segments = axes.containers[0].lines[2][0].get_segments()
    np.testing.assert_allclose([segment[:, 1] for segment in segments], shown[["low", "high"]])
    heights = np.array([bar.get_height() for bar in axes.patches])
    np.testing.assert_allclose(heights / heights.max(), table["n"] / table["n"].max())
    assert max(bar.get_y() + bar.get_height() for bar in axes.patches) < shown["low"].min()


def test_few_ratings_are_not_evaluated():
    table = calibration_bins(evaluated(15))
    axes = plot_calibration(table).axes[0]
    assert alt_text(axes.figure) == "Too few ratings to evaluate calibration: 15."
    assert len(dots(axes)) == 0


def test_groups_stand_at_their_errors():
    errors = pd.DataFrame(
        {"group": [1, 2], "fewest": [0, 3], "most": [2, 3], "n": [5, 9], "rmse": [1.25, 0.75],
         "low": [1.0, 0.5], "high": [1.5, 1.0], "bias_model": [1.2, 0.8]}
    )  # fmt: skip
    axes = plot_errors_by_count(errors, "item").axes[0]
    np.testing.assert_allclose(dots(axes), [[0, 1.25], [1, 0.75]])
    np.testing.assert_allclose(dots(axes, "s"), [[0, 1.2], [1, 0.8]])
    np.testing.assert_allclose(axes.containers[0].lines[2][0].get_segments()[0][:, 1], [1.0, 1.5])
    assert [label.get_text() for label in axes.get_xticklabels()] == ["0\n–2", "3"]
    assert alt_text(axes.figure) == (
        "RMSE is 1.25 for items with 0 to 2 training ratings and 0.75 for those with 3 to 3; the model is below the "
        "bias model in 1 of 2 groups."
    )


@both_themes
@pytest.mark.parametrize("levels", [5, 11, 99])
def test_they_can_be_read_side_by_side(levels, theme):
    with use_theme(theme):
        for figure in (plot_errors(evaluated(levels=levels)), plot_groups(evaluated(levels=levels))):
            assert_legible(figure)
