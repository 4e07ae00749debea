"""Randomness: one 64-bit key per fit, counter-based streams, everything drawn outside the kernels.

A kernel never draws. It is handed what was drawn here: an order, a matrix of uniforms. `Philox` is a counter-based
generator (Salmon et al. 2011, SC'11), so the numbers of epoch 17 are a function of (key, stream, 17) alone: a resumed
run needs no saved generator state, and no result depends on the number of threads.
"""

from __future__ import annotations

import numpy as np

from nmf_scratch._check import InputError

RandomState = int | np.random.Generator | np.random.RandomState | None

INIT, SHUFFLE, SPLIT, SEARCH, STARTS = range(5)
"""Names of the independent streams under one key."""

_MASK = 2**64 - 1


def random_key(random_state: RandomState) -> int:
    """Turn what the caller passed into the 64-bit key that all draws come from.

    Parameters
    ----------
    random_state : int, Generator, RandomState or None
        A non-negative int is the key itself; a generator yields one draw; None takes entropy from the system.

    Returns
    -------
    int
        The key, 0 <= key < 2**64. Saved with a model, it reproduces it.
    """
    if random_state is None:
        return int(np.random.SeedSequence().generate_state(1, np.uint64)[0])
    if isinstance(random_state, np.random.RandomState):
        return int.from_bytes(random_state.bytes(8), "little")
    if isinstance(random_state, np.random.Generator):
        return int(random_state.integers(0, _MASK, dtype=np.uint64, endpoint=True))
    if isinstance(random_state, (int, np.integer)) and 0 <= random_state <= _MASK:
        return int(random_state)
    raise InputError(
        f"random_state must be an int from 0 to 2**64 - 1, a numpy.random.Generator or None, got {random_state!r}"
    )


def generator(key: int, stream: int, epoch: int = 0) -> np.random.Generator:
    """Return the generator of one stream at one epoch; a function of its three arguments only."""
    philox = np.random.Philox(key=np.array([key, stream], dtype=np.uint64), counter=[0, 0, 0, epoch])
    return np.random.Generator(philox)
