"""Compile what is missing, once, before a run of all tests: else each of its processes would compile the same kernels.

    python tests/warm_up.py

One process per type of the factors, since no kernel serves both. Where nothing changed since, there is nothing to do.
"""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
DONE = ROOT / ".pytest_cache" / "warm"
"""Holds a hash of the sources that were warm last."""

WORK = """
import sys, warnings
import numpy as np
from nmf_scratch import NMF, PredefinedSplit, evaluate_ranking, load_dataset
from nmf_scratch.evaluation.baselines import Popularity
from nmf_scratch.fitted.top_n import BLOCK
from nmf_scratch.solvers import SOLVERS

warnings.simplefilter("ignore")
dtype, demo = sys.argv[1], load_dataset("demo")
variants = [(name, {}) for name in SOLVERS]
variants += [("als", {"method": "descent"}), ("adagrad", {"per": "coordinate"}), ("sgd", {"momentum": 0.5})]
for name, settings in variants:
    model = NMF(3, solver=SOLVERS[name](**settings), dtype=dtype, max_iter=1, random_state=0).fit(demo)
NMF(3, solver="mu", loss=1.0, dtype=dtype, max_iter=1, random_state=0).fit(demo)
users, items = model.user_ids_, model.item_ids_
model.recommend(users[0]), model.recommend(list(users[: BLOCK + 1]))
model.predict([(users[0], items[0])]), model.explain(users[0], items[0]), model.similar_items(items[0])
model.fold_in({items[0]: 5}), model.partial_fit(demo.ratings[:3])
if dtype == "float32":  # what does not depend on it
    fold = np.arange(len(demo.ratings)) % 5
    evaluate_ranking(Popularity(), demo, cv=PredefinedSplit(np.where(fold == 0, 0, -1)))
"""


def sources():
    """Return a hash of what kernels are compiled from, and with."""
    paths = sorted((ROOT / "src").rglob("*.py"))
    digest = hashlib.sha256(f"{sys.version} {os.environ.get('NUMBA_CACHE_DIR', '')}".encode())
    for path in [*paths, ROOT / "constraints.txt"]:
        digest.update(path.read_bytes())
    return digest.hexdigest()


def is_warm():
    kernels = (ROOT / "src" / "nmf_scratch" / "__pycache__").glob("*.kernel")
    there = os.environ.get("NUMBA_CACHE_DIR") or any(kernels)
    return bool(there) and DONE.exists() and DONE.read_text(encoding="utf-8") == sources()


def main():
    if is_warm():
        return
    print("compiling kernels ...", flush=True)
    processes = [subprocess.Popen([sys.executable, "-c", WORK, dtype]) for dtype in ("float32", "float64")]
    if any([process.wait() for process in processes]):
        sys.exit("warm-up failed: see above")
    DONE.parent.mkdir(exist_ok=True)
    DONE.write_text(sources(), encoding="utf-8")


if __name__ == "__main__":
    main()
