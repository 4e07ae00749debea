"""What the site adds to Sphinx: pages that run, equations by their tags, links into the source, the command line.

The pages stay plain Markdown: everything here reads what they say anyway, an index, a tag, a name in backticks.
"""

from __future__ import annotations

import multiprocessing
import os
import posixpath
import re
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import _pages
import _papers
import typer
from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.transforms import SphinxTransform
from sphinx.util import logging
from sphinx.util.fileutil import copy_asset_file

import nmf_scratch
from nmf_scratch.cli import make_app

DOCS = Path(__file__).parent
GALLERY = "auto_gallery/index"
SOURCE = DOCS.parent / "src"
TAG = re.compile(r"\(([A-Z]+\.\d+)\)")
DEFINITION = re.compile(r"\s*\\tag\{([A-Z]+\.\d+)\}")

logger = logging.getLogger(__name__)


# The index, docs/README.md, is the table of contents.


def contents(index: str) -> str:
    """Return a hidden table of contents for each section of the index, with the pages that it links to in its order."""
    trees = []
    for section in re.split(r"^## +", index, flags=re.M):
        title, _, body = section.partition("\n")
        links = re.findall(r"\]\(((?:[\w-]+/)*[\w-]+\.(?:md|rst))\)", body)
        pages = dict.fromkeys(GALLERY if link == "gallery/README.rst" else link.removesuffix(".md") for link in links)
        if pages:
            trees.append(f"\n```{{toctree}}\n:hidden:\n:caption: {title}\n\n" + "\n".join(pages) + "\n```\n")
    return "".join(trees)


# Pages run before they are read.


def run_pages(app: Sphinx, env: BuildEnvironment, docnames: list[str]) -> None:
    """Run the pages that are about to be read, each in a process of its own."""
    paths = {name: Path(env.doc2path(name)) for name in docnames}
    paths = {
        name: path for name, path in paths.items() if path.suffix == ".md" and "```python" in path.read_text("utf-8")
    }
    processes = multiprocessing.get_context("spawn")  # threads of the gallery would not survive a fork
    with ProcessPoolExecutor(os.cpu_count(), processes, max_tasks_per_child=1) as pool:
        app.nmf_reports = dict(zip(paths, pool.map(_pages.check, paths.values()), strict=True))
    for name, report in app.nmf_reports.items():
        for complaint in report.complaints:
            logger.warning("%s", complaint, location=name, type="page")


def prepare(app: Sphinx, docname: str, source: list[str]) -> None:
    """Hand Sphinx the page with fresh measurements, and the first page with the table of contents."""
    if docname == app.config.root_doc:
        index = (DOCS / "README.md").read_text("utf-8")
        source[0] = index.replace("gallery/README.rst", GALLERY + ".rst") + contents(index)
    elif docname in app.nmf_reports:
        source[0] = app.nmf_reports[docname].text
    source[0] = _papers.with_links(without_links_outside(source[0], Path(app.env.doc2path(docname)).parent))
    source[0] = re.sub(r"^```\{modules\} (.*)\n```$", lambda found: modules(found[1].split()), source[0], flags=re.M)
    source[0] = re.sub(r"^```\{commands\}\n```$", lambda _: commands(), source[0], flags=re.M)


def without_links_outside(text: str, folder: Path) -> str:
    """Leave of a link to a page of the repository that the site does not have, such as its README, the words."""

    def words_or_link(link: re.Match[str]) -> str:
        inside = (folder / link[2]).resolve().is_relative_to(DOCS)
        return link[0] if inside else link[1]

    return re.sub(r"\[([^\]]*)\]\(([\w./-]+\.md)(?:#[^)]*)?\)", words_or_link, text)


# The reference, from the package itself.


def modules(patterns: list[str]) -> str:
    """Return a section for each module that a pattern names, in the order of the patterns."""
    paths = (path.relative_to(SOURCE).with_suffix("") for path in sorted(SOURCE.rglob("*.py")))
    names = [".".join(path.parts[1:]).removesuffix(".__init__") for path in paths]
    public = [name for name in names if name and not re.search(r"(^|\.)_", name)]
    chosen = dict.fromkeys(name for pattern in patterns for name in public if fnmatchcase(name, pattern))
    section = "## {0}\n\n```{{eval-rst}}\n.. automodule:: nmf_scratch.{0}\n```\n"
    return "\n".join(section.format(name) for name in chosen)


def lectures_as_they_are_typed(app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Keep the lines of what is set off in the docstring of a module: formulas, examples."""
    for number, line in reversed(list(enumerate(lines))):
        above = next((text for text in reversed(lines[:number]) if text.strip()), "")
        begins = line.startswith("    ") and not lines[number - 1].strip() and not above.startswith((" ", "- "))
        if what == "module" and begins and not above.endswith("::"):
            lines[number:number] = ["::", ""]


def once(app: Sphinx, what: str, name: str, obj: Any, skip: bool, options: Any) -> bool | None:
    """Leave what `nmf_scratch` itself offers to the page about that."""
    at_root = obj is not None and name in nmf_scratch.__all__ and getattr(nmf_scratch, name) is obj
    return True if what == "module" and at_root and app.env.current_document.docname != "reference/api" else None


def commands() -> str:
    """Return a section for each command: how it is called, what it does, its arguments and options with defaults."""
    top = typer.main.get_command(make_app())
    return "\n".join(_command(command, path) for path, command in _leaves(top, "nmf-scratch"))


def _leaves(command: Any, path: str) -> Iterator[tuple[str, Any]]:
    if hasattr(command, "commands"):
        for name, part in command.commands.items():
            yield from _leaves(part, f"{path} {name}")
    else:
        yield path, command


def _command(command: Any, path: str) -> str:
    context = command.make_context(path, [], resilient_parsing=True)
    usage = " ".join(command.collect_usage_pieces(context))
    rows = [row for parameter in command.get_params(context) if (row := _row(parameter, context))]
    table = ["| | | default |", "|---|---|---|", *rows] if rows else []
    return "\n".join(
        [f"## {path}", "", "```console", f"$ {path} {usage}", "```", "", command.help or "", "", *table, ""]
    )


def _row(parameter: Any, context: Any) -> str:
    names = (
        parameter.opts + parameter.secondary_opts if parameter.param_type_name == "option" else [parameter.name.upper()]
    )
    default = parameter.show_default if isinstance(parameter.show_default, str) else parameter.get_default(context)
    shown = "" if default in (None, False, True) or default == () else str(getattr(default, "value", default))
    said = " ".join((getattr(parameter, "help", "") or "").split()).replace("|", "\\|")
    return f"| {', '.join(f'`{name}`' for name in names)} | {said} | {'required' if parameter.required else shown} |"


# Equations: a tag is a number, and a citation a link.


class Equations(SphinxTransform):
    """Turn tags into numbered equations, and (MU.4) in running text into a link."""

    default_priority = 400

    def apply(self, **kwargs: Any) -> None:
        """Change the document."""
        for block in list(self.document.findall(nodes.math_block)):
            if found := DEFINITION.search(block.astext()):
                self._number(block, found[1])
        for text in list(self.document.findall(nodes.Text)):
            if TAG.search(text) and not _inside(
                text, nodes.literal_block, nodes.reference, nodes.title, nodes.math_block
            ):
                self._cite(text)

    def _number(self, block: nodes.math_block, tag: str) -> None:
        domain = self.env.domains["math"]
        formula = DEFINITION.sub("", block.astext())
        numbered = nodes.math_block(formula, formula, number=tag, label=tag, docname=self.env.docname)
        numbered["ids"] = [nodes.make_id(f"equation-{tag}")]
        block.replace_self(numbered)
        self.document.note_explicit_target(numbered)
        domain.equations[tag] = (self.env.docname, tag)

    def _cite(self, text: nodes.Text) -> None:
        pieces = TAG.split(text)
        parts: list[nodes.Node] = [nodes.Text(pieces[0])]
        for tag, rest in zip(pieces[1::2], pieces[2::2], strict=True):
            link = addnodes.pending_xref(
                "", nodes.Text(f"({tag})"), refdomain="math", reftype="eq", reftarget=tag, refdoc=self.env.docname
            )
            parts += [link, nodes.Text(rest)]
        text.parent.replace(text, parts)


def _inside(node: nodes.Node, *kinds: type) -> bool:
    while node := node.parent:
        if isinstance(node, kinds):
            return True
    return False


def link_tags_in_code(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: Any) -> None:
    """Make the tag at the end of a line of code a link to the equation that the line computes."""
    equations = app.env.domains["math"].equations

    def link(match: re.Match[str]) -> str:
        docname, tag = equations[match[1]]
        anchor = nodes.make_id(f"equation-{tag}")
        return f'(<a href="{app.builder.get_relative_uri(page, docname)}#{anchor}">{tag}</a>)'

    def comment(match: re.Match[str]) -> str:
        return re.sub(TAG, link, match[0])

    if "body" in context:
        body = re.sub(r'<span class="c1">#[^<]*</span>', comment, context["body"])
        # Matplotlib's animations ask a server for the signs on their buttons; site.css has some.
        context["body"] = re.sub(r'<link rel="stylesheet"\s+href="https://[^>]*>', "", body)


# Links into the source and into the reference.


def link_source(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """Let links to modules lead to their highlighted source, and names in backticks to their documentation."""
    modules = getattr(app.env, "_viewcode_modules", {})
    for link in list(doctree.findall(addnodes.download_reference)):
        path = (DOCS / posixpath.dirname(docname) / link["reftarget"]).resolve()
        if path == DOCS / "gallery" / "README.rst":
            target = app.builder.get_relative_uri(docname, GALLERY)
            link.replace_self(nodes.reference("", "", *link.children, refuri=target, internal=True))
        if path.suffix == ".py" and path.is_relative_to(SOURCE):
            module = ".".join(path.relative_to(SOURCE).with_suffix("").parts).removesuffix(".__init__")
            if modules.get(module):
                target = app.builder.get_relative_uri(docname, f"_modules/{module.replace('.', '/')}")
                link.replace_self(nodes.reference("", "", *link.children, refuri=target, internal=True))
    names = public_names(app)
    for literal in list(doctree.findall(nodes.literal)):
        if (found := names.get(literal.astext().removesuffix("()"))) and not _inside(
            literal, nodes.reference, nodes.title
        ):
            target = f"{app.builder.get_relative_uri(docname, found[0])}#{found[1]}"
            reference = nodes.reference("", "", literal.deepcopy(), refuri=target, internal=True)
            literal.replace_self(reference)


def public_names(app: Sphinx) -> dict[str, tuple[str, str]]:
    """Return page and anchor of classes and functions by their short names, and of methods as Class.method."""
    found: dict[str, list[tuple[str, str]]] = {}
    for name, entry in app.env.domains["py"].objects.items():
        if not entry.aliased and entry.objtype in ("class", "exception", "function", "method"):
            short = name.split(".")[-2:] if entry.objtype == "method" else name.split(".")[-1:]
            found.setdefault(".".join(short), []).append((entry.docname, entry.node_id))
    return {name: places[0] for name, places in found.items() if len(places) == 1}


def setup(app: Sphinx) -> dict[str, Any]:
    """Register all of it."""
    app.connect("env-before-read-docs", run_pages)
    app.connect("source-read", prepare)
    app.connect("autodoc-process-docstring", lectures_as_they_are_typed, priority=100)
    app.connect("autodoc-skip-member", once)
    app.connect("doctree-resolved", link_source)
    app.connect("html-page-context", link_tags_in_code)
    app.connect("build-finished", copy_mathjax)
    app.add_transform(Equations)
    return {"parallel_read_safe": False, "parallel_write_safe": True}


def copy_mathjax(app: Sphinx, error: Exception | None) -> None:
    """Put the renderer of formulas beside the pages."""
    if error is None:
        copy_asset_file(app.config._raw_config["MATHJAX"], app.outdir / "_static")
