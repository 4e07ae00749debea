"""A few kills, threads for seconds; `make test-long` kills two hundred times and lets threads run for ten minutes."""

import sys

import pytest
from endurance import KINDS, kills, threads

pytestmark = pytest.mark.compiled


@pytest.mark.parametrize("times", [len(KINDS), pytest.param(200, marks=pytest.mark.slow)])
def test_a_kill_tears_nothing_and_the_next_run_ends_with_the_same_bits(times):
    counts, findings = kills(times, seed=times)
    assert sum(counts[name] for name in KINDS) == times
    assert not findings


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="memory is read from /proc")
@pytest.mark.parametrize("seconds", [3, pytest.param(600, marks=pytest.mark.slow)])
def test_threads_of_several_processes_get_the_same_answers_in_the_same_memory(seconds):
    rounds, findings, (early, late) = threads(seconds, n_processes=4 if seconds > 60 else 2)
    assert rounds > 0
    assert not findings
    assert late < 1.2 * early + 50
