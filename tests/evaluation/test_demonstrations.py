import numpy as np
import pytest
from scipy.optimize import nnls

from nmf_scratch import InputError
from nmf_scratch.evaluation.demonstrations import START, H, R, minimum, paths, reconstruct, value


@pytest.fixture(scope="module")
def ways():
    return paths(40)


def test_the_best_allowed_point_lies_on_the_edge():
    np.testing.assert_allclose(minimum(), nnls(H, R)[0], atol=1e-12)
    assert minimum()[1] == 0 < minimum()[0]
    assert np.linalg.lstsq(H, R, rcond=None)[0][1] < -0.1  # without the edge it would lie beyond


def test_values_are_those_of_the_function():
    points = np.array([[0.0, 0.0], [1.0, 2.0]])
    np.testing.assert_allclose(value(points), [0.5 * R @ R, 0.5 * ((R - H @ points[1]) ** 2).sum()])


@pytest.mark.parametrize("name", ["mu", "sgd", "cd", "als"])
def test_all_start_alike_stay_allowed_and_come_near(ways, name):
    way = ways[name]
    np.testing.assert_array_equal(way.points[0], START)
    assert (way.points >= 0).all()
    assert way.epochs[0] == 0
    assert way.epochs[-1] == 40
    assert value(way.points[-1]) - value(minimum()) < 0.02 * (value(START) - value(minimum()))


@pytest.mark.parametrize("name", ["mu", "cd", "als"])
def test_solvers_that_go_by_rows_never_go_up(ways, name):
    assert (np.diff(value(ways[name].points)) <= 1e-12).all()


def test_each_goes_its_own_way(ways):
    moves = np.abs(np.diff(ways["cd"].points, axis=0))
    assert (moves.min(axis=1) == 0).all()  # along an axis
    assert (ways["mu"].points[:, 1] > 0).all()  # never on the edge
    assert (np.diff(ways["mu"].points[1:, 1]) < 0).all()
    assert (ways["sgd"].points[:, 1] == 0).any()  # put back onto it
    np.testing.assert_allclose(ways["als"].points[1], minimum())
    assert [len(ways[name].points) - 1 for name in ways] == [40, 200, 80, 40]


def test_an_epoch_at_least():
    with pytest.raises(InputError, match="n_epochs"):
        paths(0)


def test_what_was_never_seen_is_filled_in():
    run = reconstruct()
    assert run.truth.shape == run.known.shape == run.predictions[0].shape == (24, 32)
    known = np.isfinite(run.known)
    assert 0.3 < known.mean() < 0.5
    last = run.predictions[-1]
    assert run.known_rmse[-1] == pytest.approx(np.sqrt(((last - run.known)[known] ** 2).mean()))
    assert run.hidden_rmse[-1] == pytest.approx(np.sqrt(((last - run.truth)[~known] ** 2).mean()))
    assert run.hidden_rmse[-1] < 0.4 < 1.2 < run.hidden_rmse[0]
