"""Fixtures for the whole suite."""

import gc
import os
from pathlib import Path

import numba
import pytest

from nmf_scratch import load_dataset


@pytest.fixture(scope="session")
def ml_100k():
    """Load the real MovieLens 100K, where NMF_SCRATCH_DATA_DIR holds it."""
    folder = os.environ.get("NMF_SCRATCH_DATA_DIR", "")
    if not (Path(folder) / "ml-100k").is_dir():
        pytest.skip("NMF_SCRATCH_DATA_DIR does not hold ml-100k")
    return load_dataset("ml-100k", data_dir=folder, download=False)


@pytest.fixture(scope="session")
def demo():
    """Load the built-in data."""
    return load_dataset("demo")


def pytest_configure(config):
    """Let numbers that kernels compute without Numba overflow as silently as with it (error_model="numpy")."""
    if numba.config.DISABLE_JIT:
        silent = "ignore:(overflow|invalid value|divide by zero) encountered in scalar:RuntimeWarning"
        config.addinivalue_line("filterwarnings", silent)


def pytest_collection_modifyitems(items):
    """Skip without Numba what would take minutes there."""
    if numba.config.DISABLE_JIT:
        reason = "marked as compiled: takes minutes as plain Python"
        for item in items:
            if item.get_closest_marker("compiled"):
                item.add_marker(pytest.mark.skip(reason=reason))


def pytest_collection_finish(session):
    """Let the garbage collector pass over what lives as long as the run: thousands of tests, libraries."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000)
