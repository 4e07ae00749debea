import os
import subprocess
import sys

import matplotlib as mpl
import numpy as np
import pytest
from PIL import Image

from nmf_scratch.plots import style as styles
from nmf_scratch.plots.style import alt_text, describe, ink, new_figure, save_figure, style, use_theme


def test_the_look_holds_within_the_block_only():
    before = dict(mpl.rcParams)
    with style():
        assert mpl.rcParams["axes.grid"] is True
        assert mpl.rcParams["axes.spines.top"] is False
    assert dict(mpl.rcParams) == before


def test_the_callers_look_does_not_get_in():
    with mpl.rc_context({"axes.grid": False, "font.size": 40, "lines.linewidth": 9}), style():
        figure = new_figure(4, 3)
        axes = figure.subplots()
        (line,) = axes.plot([1, 2])
    assert line.get_linewidth() == 2.0
    assert axes.title.get_fontsize() == 13


def test_a_new_figure_has_the_size_in_inches():
    assert new_figure(7.5, 2.5).get_size_inches().tolist() == [7.5, 2.5]


def drawing():
    with style():
        figure = new_figure(4, 3)
        figure.subplots().plot([1, 3, 2], label="line")
        figure.legend()
    return figure


@pytest.mark.parametrize("suffix", [".png", ".svg"])
def test_the_same_drawing_gives_the_same_bytes(tmp_path, suffix):
    paths = [tmp_path / f"{name}{suffix}" for name in ("first", "second")]
    for path in paths:
        save_figure(drawing(), path)
    first, second = (path.read_bytes() for path in paths)
    assert first == second
    assert len(first) > 1000


@pytest.mark.parametrize(("suffix", "marks"), [(".png", (b"Software", b"matplotlib")), (".svg", (b"<dc:date>",))])
def test_no_file_names_the_hour_or_the_version_that_made_it(tmp_path, suffix, marks):
    save_figure(drawing(), str(tmp_path / f"figure{suffix}"))
    content = (tmp_path / f"figure{suffix}").read_bytes()
    assert [mark for mark in marks if mark in content] == []


def test_the_text_is_the_title_and_what_each_panel_says():
    with style():
        figure = new_figure(4, 3, "A title")
        left, right = figure.subplots(1, 2)
        figure.colorbar(right.imshow([[0, 1]]))
        describe(left, "Half of the ratings are fours.")
        describe(right, "Two cells.")
    assert alt_text(figure) == "A title. Half of the ratings are fours. Two cells."
    assert alt_text(drawing()) == ""


@pytest.mark.parametrize("suffix", [".png", ".svg"])
def test_the_text_is_stored_with_the_figure(tmp_path, suffix):
    figure = drawing()
    describe(figure.axes[0], "A line from 1 to 2 – by λ.")
    path = tmp_path / f"figure{suffix}"
    assert save_figure(figure, path) == "A line from 1 to 2 – by λ."
    if suffix == ".png":
        with Image.open(path) as image:
            stored = image.info["Description"]
    else:
        stored = path.read_text(encoding="utf-8")
    assert "A line from 1 to 2 – by λ." in stored


def test_the_dark_theme_lasts_for_its_block():
    with use_theme("dark"):
        dark, dark_ink = drawing(), ink()
    light = drawing()
    brightness = [np.mean(mpl.colors.to_rgb(figure.get_facecolor())) for figure in (dark, light)]
    assert brightness[0] < 0.15
    assert brightness[1] == 1.0
    assert np.mean(mpl.colors.to_rgb(dark_ink)) > 0.85 > 0.2 > np.mean(mpl.colors.to_rgb(ink()))


def test_a_dark_figure_is_saved_dark_outside_its_block(tmp_path):
    with use_theme("dark"):
        figure = drawing()
    save_figure(figure, tmp_path / "dark.png")
    with Image.open(tmp_path / "dark.png") as image:
        assert np.asarray(image.convert("RGB"))[0, 0].max() < 40


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_lines_stand_out_from_the_paper(theme):
    """At least 1.7 to 1 in luminance (yellow on white has less, and is for areas); text and grey at least 4 to 1."""

    def luminance(colour):
        channels = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in mpl.colors.to_rgb(colour)]
        return np.dot(channels, [0.2126, 0.7152, 0.0722])

    def contrast(one, other):
        low, high = sorted((luminance(one), luminance(other)))
        return (high + 0.05) / (low + 0.05)

    with use_theme(theme):
        paper = styles.paper()
        assert contrast(ink(), paper) > 10
        assert contrast(styles.GREY, paper) > 4
        assert all(contrast(colour, paper) > 1.7 for colour, _ in styles.SOLVER_LOOKS.values())


def test_the_colours_are_told_apart():
    colours = [getattr(styles, name) for name in ("BLUE", "ORANGE", "GREEN", "VERMILION", "PURPLE", "SKY", "YELLOW")]
    assert len(set(colours)) == 7
    assert all(mpl.colors.is_color_like(colour) for colour in colours)


def test_drawing_needs_no_display_and_no_pyplot(tmp_path):
    script = f"""
import sys
from nmf_scratch.plots.style import new_figure, save_figure
from nmf_scratch.plots import convergence
figure = new_figure(4, 3)
figure.subplots().plot([1, 2])
save_figure(figure, {str(tmp_path / "figure.png")!r})
print("matplotlib.pyplot" in sys.modules)
"""
    environment = {name: value for name, value in os.environ.items() if name not in ("DISPLAY", "WAYLAND_DISPLAY")}
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**environment, "MPLBACKEND": "tkagg", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "False\n", "")
    assert (tmp_path / "figure.png").read_bytes().startswith(b"\x89PNG")


def test_a_sentence_may_begin_with_a_bracket():
    figure = new_figure(4, 3)
    describe(figure.subplots(), "<3 stars> is a title.")
    assert alt_text(figure) == "<3 stars> is a title."
