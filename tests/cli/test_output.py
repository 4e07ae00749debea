"""What is printed is text: whatever people call things, whatever the stream can encode, and whoever reads it."""

import io
import json
import os
import re
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from nmf_scratch import NMF
from nmf_scratch._console import WIDE, PlainConsole, PlainTable, visible
from nmf_scratch.data.dataset import Dataset

HOSTILE = [
    *("[deleted]", ":heart:", "[/b]", "[bold red]x[/bold red]", "[link=file:///etc]y[/link]", r"\[x]", "[", "{0}{x}"),
    *("\x1b[31mred\x1b[0m", "\x9b31m", "\x1b]0;title\x07", "two\nlines", "tab\there", "back\b\b", "car\rriage"),
    *("nul\x00x", "\u202eright", "\u2066isolate", "$x_^$", "%s %d", "--help", "-n", "日本語", "é́", "\u2028line"),
    *("'; rm -rf", "&lt;<b>"),
]  # fmt: skip
STEERING = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    """Save a model whose users and items are called what people call things, with titles alike."""
    rng, n = np.random.default_rng(0), len(HOSTILE)
    cells = rng.permutation(n * n)[: n * n // 2]
    frame = pd.DataFrame({"user": cells // n, "item": cells % n, "rating": rng.integers(1, 6, len(cells)) * 1.0})
    frame["user"], frame["item"] = ([f"{HOSTILE[c]}{c}" for c in frame[name]] for name in ("user", "item"))
    items = pd.DataFrame(
        {"item": [f"{text}{c}" for c, text in enumerate(HOSTILE)], "title": HOSTILE, "genres": HOSTILE}
    )
    path = tmp_path_factory.mktemp("hostile") / "model.safetensors"
    NMF(2, solver="als", max_iter=3, random_state=0).fit(Dataset("[b]shop", frame, items=items)).save(path)
    return path


class TestHostileNames:
    @pytest.mark.parametrize("code", range(len(HOSTILE)))
    @pytest.mark.parametrize("command", ["recommend", "user", "explain", "similar item", "similar user", "items"])
    @pytest.mark.parametrize("as_json", [False, True])
    def test_they_are_shown_as_they_are(self, cli, hostile, code, command, as_json):
        text = HOSTILE[code]
        name = f"{text}{code}"
        json_too = ["--json"] * as_json
        words = {
            "recommend": ["recommend", "--include-seen", "-n", 99, "--model", hostile, *json_too, "--", name],
            "user": ["user", "-n", 99, "--model", hostile, *json_too, "--", name],
            "explain": ["explain", "--model", hostile, *json_too, "--", name, f"{HOSTILE[0]}0"],
            "similar item": ["similar", "--model", hostile, *json_too, f"--item={name}"],
            "similar user": ["similar", "--model", hostile, *json_too, f"--user={name}"],
            "items": ["items", "--model", hostile, *json_too, "--", text],
        }[command]
        done = cli(*words)
        assert done.code in (0, 2)
        assert not STEERING.search(done.out + done.err)
        if command not in ("items",):
            assert done.code == 0, done.err
            assert as_json or visible(name, cell=True) in done.out
        if as_json and done.code == 0:
            json.loads(done.out)

    @pytest.mark.parametrize("as_json", [False, True])
    def test_factors(self, cli, hostile, as_json):
        done = cli("factors", "--model", hostile, *(["--json"] if as_json else []))
        assert done.code == 0
        assert not STEERING.search(done.out + done.err)

    @pytest.mark.parametrize("name", ["[red]x", "a:heart:b", "$x_^$", "{x}", "\x1b[31mz", "日本"])
    def test_names_of_files_in_titles_pictures_and_messages(self, cli, tmp_path, name):
        lines = [f"{u},{i},{(u * i) % 5 + 1}\n" for u in range(1, 6) for i in range(4, 8)]
        (tmp_path / f"{name}.csv").write_text("".join(lines))
        done = cli(
            "train", "-d", tmp_path / f"{name}.csv", "-k", 2, "--folds", 2, "--max-iter", 2, "-o", tmp_path / "r"
        )
        assert done.code == 0, done.err
        assert f"{visible(name)}, folds: 2" in done.out
        assert f"{visible(name)}: 20 ratings" in done.err
        assert not STEERING.search(done.out + done.err)
        assert "cannot be drawn" not in done.err
        assert (tmp_path / "r" / "latest" / "convergence.png").stat().st_size > 1000

    def test_json_keeps_them_and_steers_nothing(self, cli, hostile):
        done = cli("recommend", "--include-seen", "-n", 99, "--model", hostile, "--json", f"{HOSTILE[0]}0")
        rows = json.loads(done.out)["recommendations"]
        assert {row["item"] for row in rows} == {f"{text}{code}" for code, text in enumerate(HOSTILE)}
        assert not STEERING.search(done.out)


def run(*words, **options):
    """Run a command in a process of its own, with its streams as they are there."""
    command = [sys.executable, "-m", "nmf_scratch", *map(str, words)]
    return subprocess.run(command, capture_output="stdout" not in options, check=False, **options)


@pytest.fixture(scope="module")
def foreign(tmp_path_factory):
    path = tmp_path_factory.mktemp("foreign") / "m.safetensors"
    pairs = [("a", "Amélie"), ("b", "日本語"), ("b", "x")]
    NMF(2, solver="als", random_state=0, max_iter=3).fit(pairs, [5, 4, 3]).save(path)
    return path


@pytest.mark.slow
class TestStreams:
    @pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "utf-8"])
    def test_letters_that_a_stream_lacks_are_replaced(self, foreign, encoding):
        env = {**os.environ, "PYTHONIOENCODING": encoding}
        table = run("recommend", "--model", foreign, "a", env=env)
        assert (table.returncode, b"Traceback" in table.stderr) == (0, False)
        assert ("日本語" if encoding == "utf-8" else "???") in table.stdout.decode(encoding)
        content = run("recommend", "--model", foreign, "a", "--json", env=env).stdout
        assert {row["item"] for row in json.loads(content.decode(encoding))["recommendations"]} == {"日本語", "x"}

    @pytest.mark.parametrize("reader", ["ascii", "gone", "full"])
    @pytest.mark.parametrize("as_json", [False, True])
    def test_a_run_is_kept_whatever_becomes_of_its_table(self, shop, tmp_path, reader, as_json):
        words = ["train", "-d", shop, "-k", "2", "--folds", "2", "--max-iter", "2", "-o", tmp_path]
        words += ["--json"] * as_json
        env = {**os.environ, "PYTHONIOENCODING": "ascii"} if reader == "ascii" else dict(os.environ)
        read, write = os.pipe() if reader == "gone" else (None, os.open("/dev/full", os.O_WRONLY))
        if read is not None:
            os.close(read)
        done = run(*words, env=env, stdout=subprocess.PIPE if reader == "ascii" else write, stderr=subprocess.PIPE)
        os.close(write)
        assert done.returncode == 0, done.stderr
        assert b"Traceback" not in done.stderr
        assert (tmp_path / "latest" / "model.safetensors").is_file()
        assert (b"the scores cannot be shown" in done.stderr) == (reader != "ascii")

    def test_a_list_without_a_reader_ends_in_silence(self, foreign):
        read, write = os.pipe()
        os.close(read)
        done = run("recommend", "--model", foreign, "a", stdout=write, stderr=subprocess.PIPE)
        os.close(write)
        assert done.returncode == 141
        assert b"rror" not in done.stderr


def test_a_picture_that_cannot_be_drawn_costs_no_run(cli, shop, tmp_path, monkeypatch):
    def broken(*args, **kwargs):
        raise RuntimeError("no fonts")

    monkeypatch.setattr("nmf_scratch.plots.convergence.plot_convergence", broken)
    done = cli("train", "-d", shop, "-k", 2, "--folds", 2, "--max-iter", 2, "-o", tmp_path)
    assert done.code == 0
    assert "convergence.png cannot be drawn (RuntimeError: no fonts)" in done.err
    assert NMF.load(tmp_path / "latest" / "model.safetensors").W_.shape == (40, 2)


class TestConsole:
    @pytest.mark.parametrize("columns", [None, "0", "junk", "60"])
    def test_columns(self, monkeypatch, columns):
        monkeypatch.delenv("COLUMNS", raising=False)
        if columns is not None:
            monkeypatch.setenv("COLUMNS", columns)
        monkeypatch.setattr(sys, "stdout", io.StringIO())
        assert PlainConsole().width == (60 if columns == "60" else WIDE)

    def test_rows_are_lines(self, monkeypatch):
        monkeypatch.delenv("COLUMNS", raising=False)
        monkeypatch.setattr(sys, "stdout", stream := io.StringIO())
        table = PlainTable("a\nb", title_justify="left")
        table.add_column("c\x1b")
        table.add_row("x\ny\t[b]" + "z" * 200)
        PlainConsole().print(table)
        lines = stream.getvalue().splitlines()
        assert lines[0].rstrip() == r"a\nb"
        assert any(r"x\ny\t[b]" + "z" * 200 in line for line in lines)
