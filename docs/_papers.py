"""Papers that a page names, "Lee and Seung (2001)", and their entries in references.bib, here lee2001."""

from __future__ import annotations

import re
import unicodedata
from pathlib import Path

REFERENCES = Path(__file__).parent / "references.bib"

NAME = r"[A-ZÀ-Ý][\w'’-]+"
PAPER = re.compile(
    rf"\b({NAME})((?:,\s+{NAME})*(?:,?\s+(?:and|&)\s+(?:{NAME}|others))?,?\s+\(?)((?:19|20)\d\d)\b(?!\])"
)
CODE = re.compile(r"(^ *```.*?^ *```$|`[^`\n]*`)", re.MULTILINE | re.DOTALL)


def keys(text: str) -> set[str]:
    """Return the keys of the papers that running text names; blocks and inline code are passed over."""
    return {key for part in CODE.split(text)[::2] for key in map(_key, PAPER.finditer(part))}


def listed() -> list[str]:
    """Return the keys of the entries of references.bib."""
    return re.findall(r"^@\w+\{(\w+),", REFERENCES.read_text("utf-8"), re.MULTILINE)


def with_links(text: str) -> str:
    """Make the year of each paper in running text a link to its entry."""
    parts = CODE.split(text)
    parts[::2] = [
        PAPER.sub(lambda paper: f"{paper[1]}{paper[2]}{{cite:year}}`{_key(paper)}`", part) for part in parts[::2]
    ]
    return "".join(parts)


def _key(paper: re.Match[str]) -> str:
    name = unicodedata.normalize("NFKD", re.sub("['’]s$", "", paper[1]).lower())
    return re.sub(r"[^a-z]", "", name) + paper[3]
