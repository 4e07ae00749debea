"""Why this score? A waterfall from nothing to the score of one user and item, one step per part."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from nmf_scratch.plots.style import BLUE, GREY, ORANGE, SKY, axes_of, describe, figure_of, ink, style

if TYPE_CHECKING:
    from nmf_scratch.fitted.explanation import Explanation

WIDTH, LINE = 52, 0.2
"""Letters on a line of a label, and the height of a line in inches."""


class Step(NamedTuple):
    """A bar of the waterfall, from start to end, in the unit of the ratings."""

    label: str
    start: float
    end: float
    colour: str


def waterfall_steps(
    explanation: Explanation, rating_scale: tuple[float, float] | None = None, n_factors: int = 6
) -> list[Step]:
    """Return the steps from 0 to the score, and to the clipped prediction where the score leaves the scale.

    Parameters
    ----------
    explanation : Explanation
        What `NMF.explain` returns.
    rating_scale : (float, float), optional
        Range that predictions are clipped to (`model.rating_scale_`).
    n_factors : int
        Factors with a step of their own, the largest; the others share one.
    """
    steps, reached = [], 0.0
    for value, part, about, _ in explanation.lines(n_factors):
        colour = BLUE if part.startswith("factor ") else SKY if part == "other factors" else ORANGE
        steps.append(Step(f"{part}{about and ': ' + about}", reached, reached + value, colour))
        reached += value
    steps.append(Step("score", 0.0, explanation.score, ink()))
    low, high = rating_scale or (-np.inf, np.inf)
    clipped = float(np.clip(explanation.score, low, high))
    if clipped != explanation.score:
        steps.append(Step(f"clipped to the scale, {low:g} to {high:g}", explanation.score, clipped, GREY))
    return steps


def plot_explanation(
    explanation: Explanation,
    *,
    rating_scale: tuple[float, float] | None = None,
    n_factors: int = 6,
    axes: Axes | None = None,
) -> Figure:
    """Draw what a score is made of, as a waterfall.

    Parameters
    ----------
    explanation : Explanation
        What `NMF.explain` returns.
    rating_scale : (float, float), optional
        Range that predictions are clipped to: the last step, if there is anything to clip.
    n_factors : int
        Factors with a step of their own, the largest; the others share one.
    axes : Axes, optional
        Where to draw; a new figure by default.

    Returns
    -------
    Figure
        Steps from top to bottom, each starting where the one above it ended. They add up to the score.
    """
    steps = waterfall_steps(explanation, rating_scale, n_factors)
    texts = [textwrap.wrap(step.label, WIDTH) for step in steps]
    sizes = np.maximum([len(text) for text in texts], 1.4)
    places = np.cumsum(sizes) - sizes / 2
    with style():
        axes = axes_of(axes, 11.0, LINE * float(sizes.sum()) + 1.5)
        for step, place in zip(steps, places, strict=True):
            axes.barh(place, step.end - step.start, left=step.start, height=0.9, color=step.colour)
            number = f"{step.end:.2f}" if step.label == "score" else f"{step.end - step.start:+.2f}".replace("-", "−")
            right = max(step.start, step.end), place
            axes.annotate(number, right, (5, 0), textcoords="offset points", va="center", fontsize=10)
        for step, place, after in zip(steps[:-1], places, places[1:], strict=False):
            axes.plot([step.end, step.end], [place, after], color=GREY, linewidth=0.8, zorder=0)
        axes.set_yticks(places, ["\n".join(text) for text in texts], fontsize=10)
        axes.set_ylim(float(sizes.sum()), 0)
        axes.set_xlim(0, 1.12 * max(step.end for step in steps))
        axes.grid(False, axis="y")
        axes.spines["left"].set_visible(False)
        axes.tick_params(axis="y", length=0)
        title = f"{explanation.title or explanation.item}, for user {explanation.user}"
        axes.set_title("\n".join(textwrap.wrap(title, WIDTH + 8)), x=0, ha="left")
        axes.set_xlabel("predicted rating, in units of the ratings")
        describe(axes, _sentence(explanation, steps))
    return figure_of(axes)


def _sentence(explanation: Explanation, steps: list[Step]) -> str:
    biases = sum(step.end - step.start for step in steps if step.colour == ORANGE)
    own = [step for step in steps if step.colour == BLUE]
    largest = f", the largest {own[0].end - own[0].start:.2f} by {own[0].label}" if own else ""
    clipped = f" It is clipped to {steps[-1].end:g}." if steps[-1].colour == GREY else ""
    name = explanation.title or explanation.item
    return (
        f"{name} scores {explanation.score:.2f} for user {explanation.user}: {biases:.2f} by biases and "
        f"{explanation.score - biases:.2f} by factors{largest}.{clipped}"
    )
