import numpy as np
import pandas as pd
import pytest
from legibility import assert_legible, both_themes
from matplotlib.colors import to_hex

from nmf_scratch.plots.comparison import MOST, comparison_figures, plot_comparison, plot_targets
from nmf_scratch.plots.style import SOLVER_LOOKS, alt_text, use_theme
from nmf_scratch.solvers import SOLVERS


def runs(solvers=("mu", "cd"), n_epochs=20):
    """Make runs of two folds: objectives fall towards 100 (mu) and 50 (cd, …), test errors by 0.01 an epoch."""
    epoch = np.arange(n_epochs + 1)
    parts = [
        pd.DataFrame(
            {
                "solver": solver, "fold": fold, "seed": 0, "epoch": epoch, "seconds": (shift + 1) * epoch / 10,
                "objective": 50 / (1 + shift) * (2 + 0.5**epoch) + fold, "train_rmse": 0.9 - epoch / 100,
                "test_rmse": 0.95 - epoch / 100 + shift / 1000 + fold / 10, "kkt": 0.5**epoch, "sparsity": 0.0,
                "reference": 50.0,
            }
        )
        for shift, solver in enumerate(solvers)
        for fold in (1, 2)
    ]  # fmt: skip
    return pd.concat(parts, ignore_index=True)


def test_a_figure_for_each_quantity_and_one_for_the_time():
    figures = dict(comparison_figures(runs(), title="a shop", bar=0.9))
    assert list(figures) == ["objective", "test-error", "train-error", "kkt", "time-to-target"]
    assert figures["kkt"].get_suptitle() == "Distance from a stationary point\na shop"


def test_without_a_reference_nothing_is_held_against_it():
    figures = dict(comparison_figures(runs().assign(reference=np.nan), title="a shop"))
    assert list(figures) == ["test-error", "train-error", "kkt"]


@both_themes
@pytest.mark.parametrize("solvers", [("cd",), tuple(SOLVERS)], ids=len)
def test_it_can_be_read(solvers, theme):
    with use_theme(theme):
        figures = dict(comparison_figures(runs(solvers), title="a shop", bar=0.9))
    for figure in figures.values():
        assert_legible(figure)
        assert len(alt_text(figure)) > 40


def test_no_panel_has_more_than_five_lines_and_each_is_named():
    figure = plot_comparison(runs(tuple(SOLVERS)), "kkt", title="a shop")
    assert len(figure.axes) == 4
    for axes in figure.axes:
        names = {line.get_label() for line in axes.lines if not line.get_label().startswith("_")}
        assert len(names) == MOST
        assert {text.get_text() for text in axes.texts} - {""} == names  # leaders have no text
        colours = [to_hex(line.get_color()) for line in axes.lines if line.get_label() in names]
        assert len(set(colours)) == MOST
    assert [axes.get_xlabel() for axes in figure.axes] == ["", "", "epoch", "solver time, seconds"]


def test_lines_are_middles_and_bands_reach_to_both_folds():
    """Logarithmic quantities by their medians, errors by their means; what a fold adds to all errors is taken out."""
    figure = plot_comparison(runs().assign(excess=lambda table: table["objective"] / 50 - 1), "excess", title="a shop")
    (axes, _), epoch = figure.axes[:2], np.arange(1, 21)
    mu, band = axes.lines[0], axes.collections[0]
    np.testing.assert_array_equal(mu.get_xdata(), epoch)
    np.testing.assert_allclose(mu.get_ydata(), 1 + 0.5**epoch + 1.5 / 50)
    heights = band.get_paths()[0].vertices[:, 1]
    assert (heights.min(), heights.max()) == pytest.approx((1 + 0.5**20 + 1 / 50, 1.5 + 2 / 50))
    assert axes.get_yscale() == "log"

    axes, seconds = plot_comparison(runs(), "test_rmse", title="a shop").axes
    np.testing.assert_allclose(axes.lines[0].get_ydata(), 0.95 - epoch / 100 + 0.15)
    heights = axes.collections[0].get_paths()[0].vertices[:, 1]
    assert heights.max() == pytest.approx(0.94 + 0.15)  # no wider than the line
    np.testing.assert_allclose(seconds.lines[0].get_xdata(), epoch / 10)


def test_the_bias_model_is_in_view_even_where_it_beats_all():
    axes = plot_comparison(runs(), "test_rmse", title="Two solvers", bar=0.5).axes[0]
    low, high = axes.get_ylim()
    assert low < 0.5 < 0.95 < high


def test_time_to_target_is_the_first_time_within_it():
    table = runs().assign(excess=lambda table: table["objective"] / table["reference"] - 1)
    table.loc[table["solver"] == "cd", "excess"] = 0.5 ** table["epoch"]  # 1/16 after 4 epochs, 1/128 after 7
    figure = plot_targets(table)
    (axes,) = figure.axes
    large = {line.get_marker(): line.get_xdata()[0] for line in axes.lines if line.get_markersize() == 8}
    assert large == {"o": pytest.approx(0.8), "D": pytest.approx(1.4)}
    assert [text.get_text() for text in axes.get_yticklabels()] == ["mu (0 of 2 within 1 %)", "cd"]
    assert "within 10% first comes cd, after 0.8 s and within 1% first comes cd, after 1.4 s" in alt_text(figure)


def test_every_solver_has_a_look_of_its_own():
    assert SOLVER_LOOKS.keys() >= SOLVERS.keys()
    assert len(set(SOLVER_LOOKS.values())) == len(SOLVER_LOOKS)
