import matplotlib as mpl
import numpy as np
import pytest
from legibility import assert_legible
from matplotlib.figure import Figure

from nmf_scratch.history import EpochRecord, TrainingHistory
from nmf_scratch.plots.convergence import plot_convergence
from nmf_scratch.plots.style import save_figure


def history(n_epochs, with_validation=False):
    """Make a run that settles: objective 200 → 100, training error 1 → 0.7, held-out error 1.1 → 0.9."""
    decay = 0.8 ** np.arange(n_epochs + 1)
    return TrainingHistory(
        [
            EpochRecord(t, 0.1 * t, 100 + 100 * d, 0.7 + 0.3 * d, 0.9 + 0.2 * d if with_validation else np.nan, np.nan)
            for t, d in enumerate(decay)
        ]
    )


def draw(**options):
    return plot_convergence(history(12), title="NMF on a shop", **options)


class TestPanels:
    def test_the_objective_in_percent_of_its_start(self):
        figure = draw()
        assert isinstance(figure, Figure)
        left, _ = figure.axes
        (line,) = left.lines
        np.testing.assert_array_equal(line.get_xdata(), np.arange(13))
        np.testing.assert_allclose(line.get_ydata(), 0.5 + 0.5 * 0.8 ** np.arange(13))
        labels = [left.yaxis.get_major_formatter()(share, None) for share in (1.0, 0.6, 0.575)]
        assert labels == ["100 %", "60 %", "57.5 %"]

    def test_or_above_that_of_a_longer_run(self):
        left, _ = draw(reference=100.0).axes
        np.testing.assert_allclose(left.lines[0].get_ydata(), 0.8 ** np.arange(13))
        assert left.get_yscale() == "log"
        assert "ends 6.87% above" in left.get_label()

    def test_a_run_below_the_reference_is_drawn_as_far_as_it_goes(self):
        left, _ = draw(reference=150.0).axes
        np.testing.assert_array_equal(left.lines[0].get_xdata(), [0, 1, 2, 3])
        assert_legible(draw(reference=500.0))

    def test_the_error_from_the_first_epoch_on(self):
        """The start has no error worth a place: it would squeeze what follows."""
        _, right = draw().axes
        (line,) = right.lines
        np.testing.assert_array_equal(line.get_xdata(), np.arange(1, 13))
        np.testing.assert_allclose(line.get_ydata(), 0.7 + 0.3 * 0.8 ** np.arange(1, 13))

    def test_held_out_error_and_bar_are_added_where_given(self):
        _, right = draw(validation=history(9, with_validation=True), bar=0.95).axes
        _, held_out, lowest, bar = right.lines
        np.testing.assert_allclose(held_out.get_ydata(), 0.9 + 0.2 * 0.8 ** np.arange(1, 10))
        assert (lowest.get_xdata()[0], lowest.get_ydata()[0]) == (9, pytest.approx(0.9 + 0.2 * 0.8**9))
        assert set(bar.get_ydata()) == {0.95}
        assert bar.get_linestyle() == "--"
        texts = [text.get_text() for text in right.texts]
        assert texts == ["lowest 0.927, epoch 9", "bias model", "trained on", "held out"]

    def test_a_run_that_held_out_itself_needs_no_other(self):
        _, right = plot_convergence(history(5, with_validation=True), title="early").axes
        assert [text.get_text() for text in right.texts][-2:] == ["trained on", "held out"]

    def test_the_kkt_residual_where_it_was_looked_at(self):
        run = history(12)
        run.records = [record._replace(kkt=10.0**-record.epoch) for record in run.records]
        figure = plot_convergence(run, title="looked at")
        assert len(figure.axes) == 3
        np.testing.assert_allclose(figure.axes[2].lines[0].get_ydata(), 10.0 ** -np.arange(13))
        assert_legible(figure)

    def test_solver_time_stands_above(self):
        left, _ = draw().axes
        (above,) = left.child_axes
        left.figure.draw_without_rendering()
        np.testing.assert_allclose(above.get_xlim(), 0.1 * np.array(left.get_xlim()))
        assert above.get_xlabel() == "solver time, seconds"

    def test_everything_is_labelled_with_its_unit(self):
        figure = draw(validation=history(9, with_validation=True), bar=0.95)
        left, right = figure.axes
        assert figure.get_suptitle() == "NMF on a shop"
        assert left.get_title(loc="left") == "Objective, as a share of its start"
        assert right.get_title(loc="left") == "RMSE, in units of the ratings"
        assert [axes.get_xlabel() for axes in figure.axes] == ["epoch", "epoch"]

    def test_both_panels_count_the_same_epochs(self):
        left, right = draw(validation=history(9, with_validation=True)).axes
        assert left.get_xlim() == right.get_xlim()

    @pytest.mark.parametrize("n_epochs", [1, 3, 60])
    def test_epochs_are_counted_in_whole_numbers(self, n_epochs):
        figure = plot_convergence(history(n_epochs), title="short")
        for axes in figure.axes:
            ticks = axes.xaxis.get_major_locator().tick_values(0, n_epochs)
            assert (ticks == np.round(ticks)).all()

    @pytest.mark.parametrize("reference", [None, 99.0])
    def test_it_can_be_read(self, reference):
        assert_legible(draw(validation=history(9, with_validation=True), bar=0.95, reference=reference))

    def test_a_run_that_never_got_beyond_its_start_can_be_drawn(self, tmp_path):
        save_figure(plot_convergence(history(0), title="diverged"), tmp_path / "figure.png")
        assert (tmp_path / "figure.png").stat().st_size > 0


@pytest.mark.parametrize("suffix", ["png", "svg"])
def test_same_input_same_bytes(tmp_path, suffix):
    for name in ("first", "second"):
        save_figure(draw(validation=history(9, with_validation=True), bar=0.95), tmp_path / f"{name}.{suffix}")
    assert (tmp_path / f"first.{suffix}").read_bytes() == (tmp_path / f"second.{suffix}").read_bytes()


def test_the_callers_settings_are_left_alone():
    with mpl.rc_context({"font.size": 7, "axes.grid": False}):
        before = dict(mpl.rcParams)
        draw()
        assert dict(mpl.rcParams) == before
