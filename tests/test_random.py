import numpy as np
import pytest

from nmf_scratch import InputError
from nmf_scratch._random import INIT, SHUFFLE, generator, random_key


def test_an_int_is_its_own_key_and_a_generator_gives_one_draw():
    assert random_key(7) == random_key(np.int64(7)) == 7
    assert random_key(np.random.default_rng(1)) == random_key(np.random.default_rng(1))
    rng = np.random.default_rng(1)
    assert random_key(rng) != random_key(rng)


def test_none_takes_fresh_entropy():
    assert random_key(None) != random_key(None)


def test_the_generator_of_old_gives_a_key_a_draw():
    state, twin = np.random.RandomState(3), np.random.RandomState(3)
    keys = [random_key(state) for _ in range(3)]
    assert keys == [random_key(twin) for _ in range(3)]
    assert len(set(keys)) == 3


@pytest.mark.parametrize("state", [-1, 2**64, 1.5, "0"])
def test_anything_else_is_refused(state):
    with pytest.raises(InputError, match="random_state must be an int"):
        random_key(state)


def test_streams_and_epochs_are_independent_and_repeatable():
    draws = {(s, e): tuple(generator(5, s, e).random(3)) for s in (INIT, SHUFFLE) for e in (0, 1)}
    assert len(set(draws.values())) == 4
    assert tuple(generator(5, SHUFFLE, 1).random(3)) == draws[SHUFFLE, 1]
    assert tuple(generator(6, SHUFFLE, 1).random(3)) != draws[SHUFFLE, 1]


def test_the_largest_key_works():
    assert generator(2**64 - 1, SHUFFLE, 10**6).random() < 1
