"""One page about one run: the data, the model, how well it predicts, what its factors are about, what it recommends.

The page is a single file without anything from elsewhere: style, script and figures are inside. It reads without the
script (which sorts tables and enlarges figures), prints, and fits a phone. Each section is a module that takes the
`Material` and returns its heading, a sentence for the top, and its content; numbers are computed where they are said.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.resources import files
from string import Template

from nmf_scratch._version import __version__
from nmf_scratch.report import data, examples, factors, origin, predictions, solvers, training
from nmf_scratch.report.markup import Html, Section, element, joined
from nmf_scratch.report.material import Material

__all__ = ["SECTIONS", "Material", "make_page"]

SECTIONS: dict[str, Callable[[Material], Section]] = {
    "data": data.section,
    "model": training.section,
    "predictions": predictions.section,
    "solvers": solvers.section,
    "factors": factors.section,
    "examples": examples.section,
    "origin": origin.section,
}
"""The parts of a report, in order."""


def make_page(material: Material, *, told: Callable[[str], None] | None = None) -> str:
    """Return the report as an HTML page.

    Parameters
    ----------
    material : Material
        What it is about.
    told : callable, optional
        Told the name of each section before it is made.

    Returns
    -------
    str
        A complete page.
    """
    sections = []
    for name, make in SECTIONS.items():
        if told is not None:
            told(name)
        sections.append(make(material))
    title = f"{material.name}, on {material.dataset.name}"
    return Template(_asset("page.html")).substitute(
        title=joined(title),
        version=joined(__version__),
        style=_asset("style.css"),
        script=_asset("script.js"),
        contents=joined(*(element("li", _link(section)) for section in sections)),
        summary=joined(*(_said(section) for section in sections if section.said)),
        sections=joined(*(_placed(section) for section in sections)),
    )


def _asset(name: str) -> str:
    return files(__name__).joinpath(name).read_text(encoding="utf-8")


def _link(section: Section) -> Html:
    return element("a", section.heading, href=f"#{section.id}")


def _said(section: Section) -> Html:
    return element("li", element("b", _link(section), ". "), section.said)


def _placed(section: Section) -> Html:
    heading = f"{section.id}-heading"
    return element(
        "section", element("h2", section.heading, id=heading), section.content, id=section.id, aria_labelledby=heading
    )
