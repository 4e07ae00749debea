import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest

from nmf_scratch.plots.style import save_figure
from nmf_scratch.plots.tuning import plot_tuning


def trials(**columns):
    """Nine candidates, three of them again on a second rung; candidate 4 wins there."""
    rng = np.random.default_rng(0)
    first = pd.DataFrame({"candidate": range(9), "rung": 1, "solver": ["sgd", "als", "mu"] * 3})
    first = first.assign(n_components=[5, 10, 20] * 3, alpha=np.geomspace(0.004, 0.3, 9), loss=2.0, **columns)
    first["max_iter"], first["rmse"] = 3, 0.95 + rng.random(9) / 20
    second = first.iloc[[2, 4, 6]].assign(rung=2, max_iter=9, rmse=[0.94, 0.90, 0.93])
    return pd.concat([first, second], ignore_index=True).assign(standard_error=0.01, seconds=0.1)


def points_of(axes):
    """Offsets of each labelled group of points."""
    return {group.get_label(): np.asarray(group.get_offsets()) for group in axes.collections}


def test_a_panel_per_parameter_that_varies_and_one_for_the_epochs():
    figure = plot_tuning(trials(), title="Search on a shop")
    labels = [axes.get_xlabel() for axes in figure.axes]
    assert labels == [
        "solver",
        "latent factors, n_components",
        "penalty on the factors, alpha",
        "epochs of the trial, max_iter",
    ]
    assert figure.get_suptitle() == "Search on a shop"
    assert figure.axes[0].get_title(loc="left") == "RMSE on the inner folds, in units of the ratings"


def test_every_trial_is_a_point_at_its_place_and_the_winner_is_ringed():
    table = trials()
    for number, name in ((1, "n_components"), (2, "alpha")):
        groups = points_of(plot_tuning(table, title="t").axes[number])
        assert list(groups) == ["rung 1 of 2: 9 trials", "rung 2 of 2: 3 trials", "winner"]
        np.testing.assert_allclose(groups["rung 2 of 2: 3 trials"], table.loc[table["rung"] == 2, [name, "rmse"]])
        np.testing.assert_allclose(groups["winner"], [[table[name][10], 0.90]])


def test_choices_stand_side_by_side():
    axes = plot_tuning(trials(), title="t").axes[0]
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["als", "mu", "sgd"]
    x = points_of(axes)["rung 1 of 2: 9 trials"][:, 0]
    np.testing.assert_array_equal(np.round(x), [2, 0, 1] * 3)
    assert len(set(x)) == 9


def test_outliers_stand_at_the_edge_and_the_bar_is_shown():
    table = trials()
    table.loc[0, "rmse"] = 40.0
    figure = plot_tuning(table, title="t", bar=0.96)
    low, high = figure.axes[1].get_ylim()
    assert low < 0.90 < 0.96 < high < 2
    assert points_of(figure.axes[1])["rung 1 of 2: 9 trials"][0, 1] <= high
    assert set(figure.axes[1].lines[0].get_ydata()) == {0.96}


def test_rungs_differ_in_shape_as_well_as_in_colour():
    groups = plot_tuning(trials(), title="t").axes[1].collections[:2]
    shapes = [group.get_paths()[0].vertices.shape for group in groups]
    colours = [tuple(group.get_facecolor()[0]) for group in groups]
    assert len(set(colours)) == len(set(shapes)) == 2


@pytest.mark.parametrize("n", [1, 2])
def test_a_search_of_one_or_two_trials_can_be_drawn(n):
    figure = plot_tuning(trials().head(n), title="t")
    figure.draw_without_rendering()
    assert len(figure.axes) == (1 if n == 1 else 4)


def test_the_same_bytes_each_time_and_the_caller_s_settings_stay(tmp_path):
    before = mpl.rcParams["font.size"]
    for name in ("a.png", "b.png"):
        save_figure(plot_tuning(trials(), title="t"), tmp_path / name)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    assert mpl.rcParams["font.size"] == before
