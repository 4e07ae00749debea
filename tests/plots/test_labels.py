import numpy as np
import pytest
from legibility import assert_legible
from matplotlib.colors import to_rgba

from nmf_scratch.plots.labels import label_ends, place_labels
from nmf_scratch.plots.style import new_figure, style


def crowd(n, spread):
    """Draw n points about the middle of a panel."""
    points = 0.5 + spread * np.random.default_rng(0).standard_normal((n, 2))
    axes = new_figure(5, 4).subplots()
    axes.set(xlim=(0, 1), ylim=(0, 1))
    return axes, points


def test_points_far_apart_are_all_named_to_their_right():
    axes, points = crowd(0, 0)[0], np.array([[0.2, 0.2], [0.2, 0.8], [0.7, 0.5]])
    labels = place_labels(axes, points, ["one", "two", "three"])
    assert [label.get_text() for label in labels] == ["one", "two", "three"]
    assert all(label.xy == tuple(point) for label, point in zip(labels, points, strict=True))
    assert all(label.xyann == (6, 0) for label in labels)


@pytest.mark.parametrize("spread", [0.03, 0.15])
def test_names_in_a_crowd_never_overlap_and_the_first_is_always_there(spread):
    axes, points = crowd(80, spread)
    labels = place_labels(axes, points, [f"name {number}" for number in range(80)])
    assert 3 < len(labels) < 80
    assert labels[0].get_text() == "name 0"
    assert_legible(axes.figure)
    frame = axes.get_window_extent()
    assert all(frame.contains(*corner) for label in labels for corner in label.get_window_extent().corners())


def test_names_without_a_place_leave_nothing_behind():
    axes, points = crowd(30, 0.0)
    labels = place_labels(axes, points, ["the same point"] * 30)
    assert len(axes.texts) == len(labels) <= 8


def test_names_near_the_edge_turn_inwards():
    axes, _ = crowd(0, 0)
    (label,) = place_labels(axes, np.array([[0.99, 0.5]]), ["at the edge"])
    assert label.get_ha() == "right"


def test_a_place_is_found_under_every_style():
    with style():
        axes, points = crowd(5, 0.2)
        assert place_labels(axes, points, list("abcde"))


class TestEnds:
    def drawn(self, ends, **options):
        axes = new_figure(5, 4).subplots()
        axes.set(xlim=(0, 1), ylim=(0, 1))
        lines = [axes.plot([0, 0.5, 1], [0.5, 0.5, end], label=f"line {n}")[0] for n, end in enumerate(ends)]
        return axes, label_ends(axes, lines, **options)

    def test_names_stand_beside_the_ends(self):
        _, labels = self.drawn([0.2, 0.8])
        assert [label.get_text() for label in labels] == ["line 0", "line 1"]
        assert [label.xy for label in labels] == [pytest.approx((1, 0.2)), pytest.approx((1, 0.8))]
        assert all(label.xyann == pytest.approx((6, 0)) for label in labels)

    @pytest.mark.parametrize("ends", [[0.5] * 5, [0.0, 0.01, 0.02], [1.0, 0.99, 0.5, 0.51, 0.515, 0.0]])
    def test_where_ends_are_close_names_are_moved_apart_and_keep_their_order(self, ends):
        axes, labels = self.drawn(ends)
        colours = {line.get_label(): to_rgba(line.get_color()) for line in axes.lines}
        assert_legible(axes.figure)
        leaders = [text for text in axes.texts if not text.get_text()]
        assert [leader.xy for leader in leaders] == [label.xy for label in labels]
        assert [leader.arrow_patch.get_edgecolor() for leader in leaders] == [
            colours[label.get_text()] for label in labels
        ]
        heights = [label.get_window_extent().y0 for label in labels]
        assert heights == sorted(heights)
        assert [float(label.xy[1]) for label in labels] == pytest.approx(sorted(ends))

    def test_a_line_out_of_view_is_named_where_it_leaves_or_not_at_all(self):
        axes, labels = self.drawn([2.0, np.nan])
        assert [label.xy for label in labels] == [pytest.approx((0.5, 0.5))] * 2
        axes.set_ylim(0.6, 1)
        assert label_ends(axes, axes.lines) == []
