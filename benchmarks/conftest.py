"""What the benchmarks share: a million synthetic ratings, as a file and encoded, and how they are timed."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from nmf_scratch import Ratings
from nmf_scratch.data.synthetic import planted_ratings

N_USERS, N_ITEMS, N_RATINGS = 20_000, 4_000, 1_000_000

QUICK = {"name": ("mu", "cd", "als", "sgd", "block-sgd"), "k": (16,)}
"""Values of a benchmark's parameters that are worth a look every day."""

# The programs beside the benchmarks are none: pytest would import them in search of examples.
collect_ignore = [path.name for path in Path(__file__).parent.glob("*.py") if not path.name.startswith("bench_")]


def pytest_addoption(parser):
    parser.addoption("--quick", action="store_true", help="fewer solvers, ranks and rounds")


def pytest_collection_modifyitems(config, items):
    """Leave out what a quick run does without."""
    if config.getoption("--quick"):
        kept = [item for item in items if is_quick(item)]
        config.hook.pytest_deselected(items=[item for item in items if item not in kept])
        items[:] = kept


def is_quick(item) -> bool:
    parameters = getattr(item, "callspec", None)
    given = parameters.params if parameters else {}
    return all(given[name] in values for name, values in QUICK.items() if name in given)


@pytest.fixture(scope="session")
def million() -> Ratings:
    """Return 1M encoded ratings with a mean of 1, popularity and activity long-tailed."""
    planted = planted_ratings(N_USERS, N_ITEMS, 8, n_ratings=N_RATINGS, random_state=0)
    values = (planted.values / planted.values.mean()).astype(np.float32)
    return Ratings.from_arrays(planted.users, planted.items, values, n_users=N_USERS, n_items=N_ITEMS)


@pytest.fixture(scope="session")
def million_lines(million, tmp_path_factory):
    """Return the path of the same ratings as a file with a header, in random order."""
    order = np.random.default_rng(0).permutation(len(million))
    columns = {
        "user": million.users[order] + 1,
        "item": million.items[order] + 1,
        "rating": np.round(million.values[order], 1),
        "timestamp": np.arange(len(order)) + 874_724_710,
    }
    path = tmp_path_factory.mktemp("ratings") / "ratings.csv"
    pd.DataFrame(columns).to_csv(path, index=False)
    return path


@pytest.fixture
def per_second(benchmark, request):
    """Return a function that times rounds after a warm-up, and notes how many things per second they do."""
    rounds = 3 if request.config.getoption("--quick") else 5

    def run(function, n, unit, **options):
        result = benchmark.pedantic(function, rounds=rounds, warmup_rounds=1, **options)
        benchmark.extra_info[f"{unit}/s"] = n / benchmark.stats.stats.median
        return result

    return run
