import numpy as np
import pandas as pd

from nmf_scratch.plots.comparison import plot_comparison
from nmf_scratch.plots.style import SOLVER_LOOKS
from nmf_scratch.solvers import SOLVERS


def runs():
    rows = [
        (solver, fold, epoch, 0.1 * epoch, 100 / (1 + epoch) + shift, 0.9, 0.95 - 0.01 * epoch + shift / 100, 0.1, 0.0)
        for shift, solver in enumerate(("mu", "cd"))
        for fold in (1, 2)
        for epoch in range(5)
    ]
    names = ["solver", "fold", "epoch", "seconds", "objective", "train_rmse", "test_rmse", "kkt", "sparsity"]
    return pd.DataFrame(rows, columns=names)


def test_four_panels_with_a_line_per_solver():
    figure = plot_comparison(runs(), title="Two solvers", bar=0.94)
    assert len(figure.axes) == 4
    labels = [axes.get_xlabel() for axes in figure.axes]
    assert labels == ["epoch", "solver time, seconds"] * 2
    assert [line.get_label() for line in figure.axes[0].lines] == ["mu", "cd"]
    errors = figure.axes[2].lines[0].get_ydata()
    np.testing.assert_allclose(errors, [0.94, 0.93, 0.92, 0.91])


def test_every_solver_has_a_look_of_its_own():
    assert SOLVER_LOOKS.keys() >= SOLVERS.keys()
    assert len(set(SOLVER_LOOKS.values())) == len(SOLVER_LOOKS)


def test_the_bias_model_is_in_view_even_where_it_beats_all():
    figure = plot_comparison(runs(), title="Two solvers", bar=0.5)
    low, high = figure.axes[2].get_ylim()
    assert low < 0.5 < 0.95 < high
