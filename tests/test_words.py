"""Pages, docstrings, messages and names use the terms of the field: gradient, convex function, new user."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TEXTS = [
    path
    for pattern in ("README.md", "docs/**/*.md", "docs/**/*.py", "docs/**/*.rst", "src/**/*.py", "tests/**/*.py")
    for path in sorted(ROOT.glob(pattern))
    if path.name != Path(__file__).name and "auto_gallery" not in path.parts and "__pycache__" not in path.parts
]

PHRASES = {
    r"\bslopes?\b": "gradient, partial derivative",
    r"\bbowls?\b": "convex function",
    r"\bstrangers?\b": "new user",
    r"lowest allowed point": "constrained minimum",
    r"\bas dear\b|\bare dear\b|\bis dear\b": "expensive",
    r"[Ww]ho wants\b|[Ww]hoever (asks|wants)": "if you want",
    r"\bmake up for what\b": "compensate",
    r"grumpier|innocent user|a box with a crank|who knows no map|grows old|Miracles\.": "plain words",
    r"so many times too short": "that much too short",
    r"\b([Jj]udg(e|es|ed|ing)|deal(s|t)?|dealing)\b": "score, evaluate; partition, shuffle",
    r"\btour\(|the tour\b": "visiting order",
    r"(?<!re)(?<!com)(?<!a)\bmend(s|ed)?\b": "fix, recover",
    r"\bline share\b|\b[Ll]ifts? it to a parabola": "lasso weight, majorise",
    r"\ba mixture of\b|lies above A\b": "affine combination, D − A is positive semidefinite",
    r"planted tastes?\b|knows? no tastes?\b": "planted factors, without factors",
    r"One inequality mends": "fixes",
    r"[Bb]eside the way": "more topics",
    r"_of_the_bowl|_stranger|stranger_|_slope|slope_": "names, too",
}
"""What is not to be read anywhere, and what to write instead."""

HONEST = {"docs/guide/benchmarks.md": {r"\bslopes?\b"}}  # of a line in a figure
"""Where a phrase means something else."""


@pytest.mark.parametrize("phrase", PHRASES)
def test_the_words_of_the_field_are_used(phrase):
    found = [
        f"{path.relative_to(ROOT)}: {match[0]!r}, write: {PHRASES[phrase]}"
        for path in TEXTS
        if phrase not in HONEST.get(str(path.relative_to(ROOT)), ())
        for match in re.finditer(phrase, path.read_text(encoding="utf-8"))
    ]
    assert not found


def test_no_file_is_named_by_them():
    names = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert not re.search(r"slope|bowl|stranger", names)


def test_there_are_texts_and_honest_uses_are_there():
    assert len(TEXTS) > 200
    for name, phrases in HONEST.items():
        text = (ROOT / name).read_text(encoding="utf-8")
        assert all(re.search(phrase, text) for phrase in phrases)
