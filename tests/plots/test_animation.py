import json
import re

import numpy as np
import pytest
from legibility import assert_legible, both_themes
from PIL import Image

from nmf_scratch.evaluation.demonstrations import minimum, paths, reconstruct, value
from nmf_scratch.plots.animation import (
    FRAMES_PER_SECOND,
    animate_paths,
    plot_paths,
    plot_reconstruction,
    save_animation,
)
from nmf_scratch.plots.style import alt_text, use_theme


@pytest.fixture(scope="module")
def ways():
    return paths(2)


@pytest.fixture(scope="module")
def run():
    return reconstruct(n_epochs=4)


@both_themes
@pytest.mark.parametrize("until", [0, None])
def test_both_can_be_read(ways, run, until, theme):
    with use_theme(theme):
        for figure in (plot_paths(ways, until=until), plot_reconstruction(run, epoch=until)):
            assert_legible(figure)
            assert len(alt_text(figure)) > 40


def test_a_way_is_drawn_up_to_its_epoch_and_no_further(ways):
    figure = plot_paths(ways)
    drawn = [axes.lines[-2].get_xydata() for axes in figure.axes]
    for points, way in zip(drawn, ways.values(), strict=True):
        np.testing.assert_array_equal(points, way.points)
    assert plot_paths(ways, until=1.0, figure=figure) is figure
    assert [len(axes.lines[-2].get_xydata()) for axes in figure.axes] == [2, 6, 3, 2]
    heads = np.array([axes.lines[-1].get_xydata()[0] for axes in figure.axes])
    np.testing.assert_array_equal(heads[1], ways["sgd"].points[5])
    excess = value(heads) - value(minimum())
    assert [axes.texts[-1].get_text() for axes in figure.axes] == [f"epoch 1\nexcess {max(0, e):.4f}" for e in excess]


def test_the_table_and_the_errors_are_those_of_the_epoch(run):
    figure = plot_reconstruction(run)
    middle, errors = figure.axes[1], figure.axes[3]
    np.testing.assert_array_equal(middle.images[0].get_array(), run.predictions[4])
    plot_reconstruction(run, epoch=2, figure=figure)
    np.testing.assert_array_equal(middle.images[0].get_array(), run.predictions[2])
    np.testing.assert_array_equal(errors.lines[1].get_ydata(), run.hidden_rmse[:3])
    assert middle.get_title(loc="left") == "W Hᵀ after epoch 2"
    assert f"{run.hidden_rmse[2]:.2f} on what is not" in alt_text(figure)


class TestFiles:
    def test_a_gif_moves_and_rests_at_the_end(self, tmp_path):
        said = save_animation(animate_paths(paths(1)), tmp_path / "ways.gif")
        assert said.startswith("The ways of four solvers")
        with Image.open(tmp_path / "ways.gif") as image:
            frames = []
            for number in range(image.n_frames):
                image.seek(number)
                frames.append((np.asarray(image.convert("L"), float), image.info["duration"]))
        assert len(frames) > 4
        assert sum(duration for _, duration in frames) >= 1000 * (6 / FRAMES_PER_SECOND + 0.9)
        assert np.abs(frames[0][0] - frames[-1][0]).max() > 100

    def test_a_page_has_controls_and_needs_no_network(self, tmp_path):
        for name in ("one.html", "two.html"):
            save_animation(animate_paths(paths(1)), tmp_path / name)
        text = (tmp_path / "one.html").read_text(encoding="utf-8")
        assert text == (tmp_path / "two.html").read_text(encoding="utf-8")
        shell = re.sub(r"base64,[^\"']*", "", text)
        assert "http" not in shell
        assert "fa-" not in shell
        assert re.findall(r">\s*(\S+)\s*</button>", shell) == ["−", "|◀", "◂", "◀", "■", "▶", "▸", "▶|", "+"]
        assert text.count("data:image/png;base64") == 6 + FRAMES_PER_SECOND
        assert json.dumps("The ways of four solvers")[1:-1] in shell
