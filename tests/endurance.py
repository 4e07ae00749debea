"""Kills at random moments, and threads in several processes for as long as you like; each finding is a line.

    python tests/endurance.py kills --times 200      kill training, tuning, caching, saving; run the same command again
    python tests/endurance.py threads --seconds 600  fit and ask from 8 threads in each of 4 processes at once

What counts as found. After a kill: a file that is torn, a result with other bits than that of a run that nobody killed,
litter after the next run. From threads: a wrong answer, an exception, memory that grows.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import multiprocessing
import os
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from nmf_scratch import NMF, load_dataset
from nmf_scratch._archive import load_arrays

# --- kills ----------------------------------------------------------------------------------------------------------

CHECKPOINT = "run.safetensors"
FIT = """
from nmf_scratch import NMF, load_dataset
from nmf_scratch.checkpoint import Checkpoint
model = NMF(30, solver="cd", max_iter=400, tol=0, random_state=0)
model.fit(load_dataset("small.csv", cache=False), checkpoint=Checkpoint("run.safetensors", resume=True, seconds=0.01))
model.save("model.safetensors")
"""
SAVE = """
from nmf_scratch import NMF, load_dataset
model = NMF(20, max_iter=2, random_state=0).fit(load_dataset("small.csv", cache=False))
for _ in range(200):
    model.save("model.safetensors")
"""
CACHE = """
from nmf_scratch import load_dataset
print(len(load_dataset("large.csv", data_dir=".").ratings))
"""


class Kind(NamedTuple):
    """What is killed: a command, and which files of its folder hold the result."""

    command: list[str]
    results: tuple[str, ...]


def _cli(line: str) -> list[str]:
    return [sys.executable, "-m", "nmf_scratch", *line.split()]


TRAIN = "train -d small.csv -k 8 --folds 2 --max-iter 60 --solver als -o runs"
TUNE = "tune -d small.csv -s als -k 2,3 --candidates 4 --folds 2 --inner-folds 2 -o tune --json"
KINDS = {
    "fit": Kind([sys.executable, "-c", FIT], ("model.safetensors",)),
    "train": Kind(
        _cli(f"{TRAIN} --checkpoint {CHECKPOINT} --resume --json"),
        ("runs/latest/model.safetensors", "runs/latest/ranking.safetensors"),
    ),
    "tune": Kind(_cli(TUNE), ("tune/trials.json",)),
    "cache": Kind([sys.executable, "-c", CACHE], ()),
    "save": Kind([sys.executable, "-c", SAVE], ("model.safetensors",)),
}


def kills(times: int, seed: int = 0) -> tuple[dict[str, int], list[str]]:
    """Kill each kind of command in turns; return how often what happened, and the findings."""
    rng, counts, findings = random.Random(seed), Counter[str](), list[str]()
    with tempfile.TemporaryDirectory() as scratch:
        whole = {name: _whole_run(kind, _fresh(Path(scratch), name)) for name, kind in KINDS.items()}
        for number in range(times):
            name = list(KINDS)[number % len(KINDS)]
            seconds, expected = whole[name]
            folder = _fresh(Path(scratch), "killed")
            with subprocess.Popen(KINDS[name].command, cwd=folder, env=_one_thread(), **_SILENT) as process:
                time.sleep(rng.uniform(0.3, 1.0) * seconds)
                process.kill()
            counts[name] += 1
            counts["killed while a checkpoint was there"] += (folder / CHECKPOINT).exists()
            counts["left litter"] += bool(_litter(folder))
            findings += [f"{number} {name}: {found}" for found in _found(KINDS[name], folder, expected)]
    return dict(counts), findings


_SILENT: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}


def _one_thread() -> dict[str, str]:
    return {**os.environ, "NUMBA_NUM_THREADS": "1"}


def _fresh(scratch: Path, name: str) -> Path:
    folder = scratch / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for file, n_users, n_items, n_ratings in (("small.csv", 400, 100, 6_000), ("large.csv", 3_000, 1_000, 300_000)):
        if not (scratch / file).exists():
            rng = np.random.default_rng(0)
            users, items = np.divmod(rng.permutation(n_users * n_items)[:n_ratings], n_items)
            table = pd.DataFrame({"user": users, "item": items, "rating": rng.integers(1, 6, n_ratings)})
            table.to_csv(scratch / file, index=False)
        os.link(scratch / file, folder / file)
    return folder


def _whole_run(kind: Kind, folder: Path) -> tuple[float, list[str]]:
    began = time.perf_counter()
    subprocess.run(kind.command, cwd=folder, env=_one_thread(), check=True, **_SILENT)
    return time.perf_counter() - began, _digests(kind, folder)


def _found(kind: Kind, folder: Path, expected: list[str]) -> list[str]:
    """Look for torn files, run the command again, and compare."""
    found = []
    for file in folder.rglob("*.safetensors"):
        try:
            load_arrays(file, kind="checkpoint" if file.name == CHECKPOINT else "model")
        except Exception as error:
            found.append(f"torn {file.name}: {error}")
    again = subprocess.run(kind.command, cwd=folder, env=_one_thread(), capture_output=True, text=True, check=False)
    if again.returncode:
        return [*found, f"the next run fails: {again.stderr[-300:]}"]
    found += ["another result"] if _digests(kind, folder) != expected else []
    return found + [f"litter {name}" for name in _litter(folder)]


def _digests(kind: Kind, folder: Path) -> list[str]:
    return [_digest(folder / name) for name in kind.results]


def _digest(file: Path) -> str:
    """Return a hash of what a run has found out: factors, or errors of candidates, but no times."""
    if file.suffix == ".json":
        trials = json.loads(file.read_text(encoding="utf-8"))["trials"]
        return repr(sorted((trial["candidate"], trial["rung"], trial["rmse"]) for trial in trials))
    model = NMF.load(file)
    return hashlib.sha256(model.W_.tobytes() + model.H_.tobytes()).hexdigest()


def _litter(folder: Path) -> list[str]:
    return [file.name for file in folder.rglob("*") if "partial" in file.name]


# --- threads --------------------------------------------------------------------------------------------------------

SOLVERS = ("als", "adagrad", "cd", "mu")


def threads(seconds: float, n_processes: int = 4, n_threads: int = 8) -> tuple[int, list[str], list[float]]:
    """Fit and ask from many threads of several processes; return rounds, findings, and MiB at a quarter and the end."""
    context = multiprocessing.get_context("spawn")
    with context.Pool(n_processes) as pool:
        parts = pool.starmap(_of_a_process, [(seconds, n_threads)] * n_processes)
    findings = [found for _, found, _ in parts for found in found]
    early, late = (max(memory[place] for *_, memory in parts) for place in (0, 1))
    return sum(rounds for rounds, *_ in parts), findings, [early, late]


def _of_a_process(seconds: float, n_threads: int) -> tuple[int, list[str], tuple[float, float]]:
    table = load_dataset("demo").ratings.head(6000)
    pairs, ratings = table[["user", "item"]], table["rating"]
    models = {name: NMF(4, solver=name, max_iter=3, random_state=0).fit(pairs, ratings) for name in SOLVERS}
    answers = {name: _ask(model, pairs) for name, model in models.items()}
    rounds, findings, end = [0] * n_threads, list[str](), time.monotonic() + seconds

    def work(number: int) -> None:
        rng = random.Random(number)
        while time.monotonic() < end:
            name = rng.choice(SOLVERS)
            try:
                model = models[name] if rng.random() < 0.7 else models[name].clone().fit(pairs, ratings)
                same = _ask(model, pairs) == answers[name]
            except Exception as error:
                findings.append(f"{name}: {error!r}")
            else:
                findings.extend([] if same else [f"{name}: another answer"])
            rounds[number] += 1

    running = [threading.Thread(target=work, args=(number,)) for number in range(n_threads)]
    for thread in running:
        thread.start()
    time.sleep(seconds / 4)
    early = _resident()
    for thread in running:
        thread.join()
    return sum(rounds), findings, (early, _resident())


def _ask(model: NMF, pairs: pd.DataFrame) -> tuple[Any, ...]:
    user = model.user_ids_[0]
    new_user = model.fold_in([(item, 4.0) for item in model.item_ids_[:3]])
    return model.predict(pairs.head(500)).tobytes(), *model.recommend(user, n=5)["item"], new_user.factors.tobytes()


def _resident() -> float:
    """Return the memory of this process, in MiB."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def main(arguments: list[str] | None = None) -> int:
    """Run one of the two for long, and print what was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["kills", "threads"])
    parser.add_argument("--times", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=600.0)
    given = parser.parse_args(arguments)
    run: Callable[[], tuple[Any, ...]] = {
        "kills": lambda: kills(given.times),
        "threads": lambda: threads(given.seconds),
    }[given.what]
    counts, findings, *memory = run()
    print(counts, *memory, f"{len(findings)} findings", *findings[:20], sep="\n")
    return bool(findings)


if __name__ == "__main__":
    sys.exit(main())
