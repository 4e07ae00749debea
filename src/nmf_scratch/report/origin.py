"""The section on where the run comes from: everything that makes it again."""

from __future__ import annotations

import platform

from nmf_scratch._version import __version__
from nmf_scratch.report.markup import Html, Section, element, facts, joined, paragraphs
from nmf_scratch.report.material import Material


def section(material: Material) -> Section:
    """Tell command, seed, versions and the hash of the data."""
    model, run = material.model, material.run
    said = f"The same data, version and seed ({model.key_}) give the same model, to the last bit on one machine."
    blocks = [
        *command("The model was trained by", run.get("command", "")),
        *command("This report was made by", material.command),
    ]
    absent = "" if run else "The model stands in no run folder, so command and versions of its training are not known."
    content = joined(
        paragraphs(said, absent), *blocks, facts("The run", the_run(material)), facts("Versions", versions(material))
    )
    return Section("origin", "How to make it again", said, content)


def command(text: str, words: str) -> list[Html]:
    """Return a command in a box that scrolls by itself, with a line that introduces it."""
    if not words:
        return []
    return [element("p", f"{text}:"), element("pre", element("code", words), tabindex=0, role="group", aria_label=text)]


def the_run(material: Material) -> list[tuple[str, str]]:
    """Return what identifies the data and the random draws."""
    data = material.run.get("dataset", {})
    rows = {
        "data": data.get("name", material.dataset.name),
        "source": data.get("source", material.dataset.source),
        "SHA-256 of the ratings": data.get("sha256", ""),
        "seed": str(material.model.key_),
        "machine": material.run.get("machine", ""),
    }
    return [(name, value) for name, value in rows.items() if value]


def versions(material: Material) -> list[tuple[str, str]]:
    """Return the versions that the model was trained with and, where they differ, those of this report."""
    trained = material.run.get("versions", {})
    here = {"nmf-scratch": __version__, "python": platform.python_version()}
    differing = [(f"{name}, for this report", text) for name, text in here.items() if trained.get(name) != text]
    return [*trained.items(), *differing]
