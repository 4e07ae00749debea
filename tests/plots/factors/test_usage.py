import numpy as np
import pandas as pd
import pytest
from legibility import assert_legible, both_themes

from nmf_scratch.plots.factors import plot_stability, plot_usage
from nmf_scratch.plots.style import alt_text, use_theme


def usage(k):
    rng = np.random.default_rng(k)
    frame = pd.DataFrame({"factor": rng.permutation(k), "share": np.sort(rng.dirichlet(np.ones(k)))[::-1]})
    for side in ("users", "items"):
        frame[[f"{side}_zero", f"{side}_small"]] = rng.dirichlet(np.ones(3), k)[:, :2]
    return frame


def returns(k):
    rng = np.random.default_rng(k)
    mean = np.sort(rng.random(k))[::-1]
    return pd.DataFrame({"factor": rng.permutation(k), "mean": mean, "minimum": mean / 2}), rng.random(k)


def test_bars_stack_up_to_everybody():
    table = usage(5)
    top, users, items = plot_usage(table).axes
    np.testing.assert_allclose([bar.get_height() for bar in top.patches], table["share"])
    for axes, side in ((users, "users"), (items, "items")):
        carried, small, zero = ([bar.get_height() for bar in stack] for stack in axes.containers)
        np.testing.assert_allclose(zero, table[f"{side}_zero"])
        np.testing.assert_allclose(small, table[f"{side}_small"])
        np.testing.assert_allclose(np.add(carried, small) + zero, 1)
        np.testing.assert_allclose([bar.get_y() + bar.get_height() for bar in axes.containers[2]], 1)
    assert [label.get_text() for label in items.get_xticklabels()] == [str(factor) for factor in table["factor"]]
    assert f"{table['users_zero'].mean():.0%} of the users have exactly nothing" in alt_text(top.figure)


def test_each_factor_has_its_own_neighbour_beside_it():
    table, nearest = returns(6)
    axes = plot_stability(table, nearest).axes[0]
    dots, dashes = axes.lines
    np.testing.assert_allclose(dots.get_ydata(), table["mean"])
    np.testing.assert_allclose(dashes.get_ydata(), [nearest[factor] for factor in table["factor"]])
    (worst,) = axes.collections
    np.testing.assert_allclose([sorted(path.vertices[:, 1]) for path in worst.get_paths()], table[["minimum", "mean"]])
    back = sum(row.mean > nearest[row.factor] for row in table.itertuples())
    assert alt_text(axes.figure).startswith(f"{back} of 6 factors come back more alike")


@both_themes
@pytest.mark.parametrize("k", [1, 12, 40, pytest.param(200, marks=pytest.mark.slow)])
def test_both_can_be_read(k, theme):
    with use_theme(theme):
        assert_legible(plot_usage(usage(k)))
        assert_legible(plot_stability(*returns(k)))
