import os
import subprocess
import sys

import matplotlib as mpl
import pytest

from nmf_scratch.plots import style as styles
from nmf_scratch.plots.style import new_figure, save_figure, style


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
    assert axes.title.get_fontsize() == 12


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
