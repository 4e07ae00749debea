"""Pages as programs: their Python blocks run from top to bottom, and what differs from what they show is found.

Tests and the build of the site share this module. By hand, for a page that is being written:

    python docs/_pages.py docs/learn/the-problem.md
"""

from __future__ import annotations

import contextlib
import io
import re
import sys
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

FENCE = re.compile(r" *```(\S*) *(.*)")
PICTURE = re.compile(r"!\[[^\]]+\]\(([^)\s]+\.png)\)")
NUMBER = re.compile(r"\d+(\.\d+)?")


class Block(NamedTuple):
    """A fenced block: its language and the rest of its first line, its text, the lines of its fences (from 1)."""

    language: str
    rest: str
    text: str
    line: int
    end: int


class Page(NamedTuple):
    """The blocks of a page, and its prose line by line, in which blocks are blank lines."""

    blocks: list[Block]
    prose: list[str]


class Step(NamedTuple):
    """A Python block, the text block that follows it directly, and the link of the picture that follows both."""

    code: Block
    shown: Block | None
    picture: str | None


class Outcome(NamedTuple):
    """What a page defined, what differs from what it shows, what its blocks printed, and its pictures as PNG.

    `different` holds (line, printed, shown), `printed` (step, text) and `pictures` (link, bytes).
    """

    names: dict[str, Any]
    different: list[tuple[int, str, str]]
    printed: list[tuple[Step, str]]
    pictures: list[tuple[str, bytes]]


def parse(text: str) -> Page:
    """Split a page into blocks and prose."""
    lines = text.splitlines()
    blocks, prose, opening, start = [], [], None, 0
    for number, line in enumerate(lines, start=1):
        fence = FENCE.fullmatch(line)
        prose.append("" if fence or opening else line)
        if fence and opening:
            inside = "".join(line + "\n" for line in lines[start : number - 1])
            blocks.append(Block(opening[1], opening[2], inside, start, number))
            opening = None
        elif fence:
            opening, start = fence, number
    assert opening is None, f"the block of line {start} is not closed"
    return Page(blocks, prose)


def steps(page: Page) -> Iterator[Step]:
    """Walk over the Python blocks of a page."""
    following = [*page.blocks[1:], None, None]
    for number, code in enumerate(page.blocks):
        after, next_but_one = following[number : number + 2]
        if code.language == "python":
            shown = after if after and after.language == "text" and not _between(page, code, after) else None
            below = _between(page, shown, next_but_one) if shown else _between(page, code, after)
            picture = PICTURE.fullmatch(below[0]) if below else None
            yield Step(code, shown, picture[1] if picture else None)


def _between(page: Page, block: Block, following: Block | None) -> list[str]:
    """Return the lines of prose between two blocks that are not blank."""
    lines = page.prose[block.end : following.line if following else None]
    return [line.strip() for line in lines if line.strip()]


def run(page: Page, name: str) -> Outcome:
    """Run the Python blocks of a page in one namespace, warnings as errors.

    What a block prints must stand in a `text` block right after it; without one, it may print nothing. After
    "text measured", numbers may differ. A block before a picture must leave a matplotlib figure named `figure`.
    """
    outcome = Outcome({"__name__": "__main__"}, [], [], [])
    for step in steps(page):
        printed = io.StringIO()
        code = compile("\n" * step.code.line + step.code.text, name, "exec")  # errors name the line of the page
        if step.picture:
            outcome.names.pop("figure", None)
        with contextlib.redirect_stdout(printed), warnings.catch_warnings():
            warnings.simplefilter("error")
            exec(code, outcome.names)
        outcome.printed.append((step, printed.getvalue()))
        shown = step.shown.text if step.shown else ""
        if not _same(printed.getvalue(), shown, measured=bool(step.shown and step.shown.rest == "measured")):
            outcome.different.append((step.code.line, printed.getvalue(), shown))
        if step.picture:
            outcome.pictures.append((step.picture, _drawn(outcome.names["figure"])))
    return outcome


def _same(printed: str, shown: str, *, measured: bool) -> bool:
    if not measured:
        return printed == shown
    return NUMBER.sub("#", printed).split() == NUMBER.sub("#", shown).split()


def _drawn(figure: Any) -> bytes:
    """Return a figure as the PNG file that `save_figure` writes."""
    from nmf_scratch.plots.style import save_figure

    with tempfile.TemporaryDirectory() as folder:
        save_figure(figure, Path(folder, "figure.png"))
        return Path(folder, "figure.png").read_bytes()


def same_picture(one: bytes, other: bytes) -> bool:
    """Tell whether two PNG files show the same, but for one pixel in a thousand: processors round differently."""
    if one == other:
        return True
    from matplotlib.image import imread

    first, second = (imread(io.BytesIO(file), format="png") for file in (one, other))
    return first.shape == second.shape and bool((abs(first - second).max(axis=2) > 0.1).mean() < 1e-3)


def with_measurements(text: str, printed: list[tuple[Step, str]]) -> str:
    """Return the page with what its measuring blocks printed this time."""
    lines = text.splitlines()
    for step, output in reversed(printed):
        if step.shown and step.shown.rest == "measured":
            lines[step.shown.line : step.shown.end - 1] = output.splitlines()
    return "\n".join(lines) + "\n"


def without_code(text: str) -> str:
    """Return the prose of a page, without its blocks and what stands in backticks."""
    return re.sub(r"`[^`\n]*`", "", "\n".join(parse(text).prose))


class Report(NamedTuple):
    """A page after it ran: its text with fresh measurements, and complaints, each a sentence with its line."""

    text: str
    complaints: list[str]


def check(path: Path) -> Report:
    """Run the page of a file in an empty folder; write pictures that are missing or look different now.

    An error ends the page; it is a complaint like any other.
    """
    text = path.read_text(encoding="utf-8")
    try:
        with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
            outcome = run(parse(text), path.name)
    except Exception as error:
        place = next((f"{frame.lineno}: " for frame in reversed(_frames(error)) if frame.filename == path.name), "")
        return Report(text, [f"{place}{type(error).__name__}: {error}"])
    complaints = [f"{line}: printed\n{printed}\nbut shows\n{shown}" for line, printed, shown in outcome.different]
    for link, drawn in outcome.pictures:
        file = path.parent / link
        if not file.exists() or not same_picture(drawn, file.read_bytes()):
            complaints.append(f"{link} was {'stale' if file.exists() else 'missing'} and is written now")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(drawn)
    return Report(with_measurements(text, outcome.printed), complaints)


def _frames(error: BaseException) -> Any:
    import traceback

    return traceback.extract_tb(error.__traceback__)


if __name__ == "__main__":
    found = [f"{name}:{complaint}" for name in sys.argv[1:] for complaint in check(Path(name).resolve()).complaints]
    sys.exit("\n".join(found) or 0)
