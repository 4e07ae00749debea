"""`nmf-scratch plot animations`: solvers in motion, on problems small enough to be watched."""

from __future__ import annotations

from pathlib import Path

from nmf_scratch.cli._common import JsonOption, run_alone
from nmf_scratch.cli._drawing import DarkOption, OutputOption, tell_figures
from nmf_scratch.cli._runs import make_folder


def animations(output: OutputOption = None, dark: DarkOption = False, as_json: JsonOption = False) -> None:
    """Draw solvers in motion, as GIF and as a page with controls."""
    from nmf_scratch.plots.animation import animations as drawn
    from nmf_scratch.plots.animation import save_animation
    from nmf_scratch.plots.style import use_theme

    folder = output or Path("runs", "figures", "animations")
    make_folder(folder)
    shown = []
    with use_theme("dark" if dark else "light"):
        for name, animation in drawn():
            for suffix in (".gif", ".html"):
                path = folder / f"{name}{suffix}"
                shown.append({"figure": name, "file": str(path), "text": save_animation(animation, path)})
    tell_figures(shown, folder, as_json=as_json)


if __name__ == "__main__":
    run_alone(animations)
