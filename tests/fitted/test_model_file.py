import os
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from nmf_scratch import NMF, InputError
from nmf_scratch._archive import load_arrays, save_arrays
from nmf_scratch.data.dataset import Dataset
from nmf_scratch.fitted.model_file import LEARNT, data_hash
from nmf_scratch.solvers import SGD

RNG = np.random.default_rng(0)
CODES = RNG.permutation(30 * 18)[:300]
FRAME = pd.DataFrame(
    {
        "user": [f"u{code:02d}" for code in CODES // 18],
        "item": CODES % 18 + 100,
        "rating": RNG.integers(1, 11, 300) / 2,
    }
)
YEARS = pd.array([1990, None] * 8 + [7], dtype="Int64")
ITEMS = pd.DataFrame({"item": range(100, 117), "title": [f"Fülm {n}" for n in range(17)], "year": YEARS})
X, Y = FRAME[["user", "item"]], FRAME["rating"]


@pytest.fixture(scope="module")
def model():
    dataset = Dataset(name="x", ratings=FRAME, items=ITEMS)
    return NMF(3, solver=SGD(step=0.05), alpha=(0.01, 0.03), max_iter=5, random_state=1).fit(dataset)


@pytest.fixture
def path(model, tmp_path):
    model.save(tmp_path / "m.npz")
    return tmp_path / "m.npz"


def assert_same_model(loaded, model):
    for name in ("W_", "H_", "user_bias_", "item_bias_", "user_ids_", "item_ids_"):
        np.testing.assert_array_equal(getattr(loaded, name), getattr(model, name))
    np.testing.assert_array_equal(loaded.predict(X), model.predict(X))
    users = ["u03", "somebody new"]
    pd.testing.assert_frame_equal(loaded.recommend(users), model.recommend(users), check_dtype=False)
    pd.testing.assert_frame_equal(loaded.history_.to_frame(), model.history_.to_frame())
    assert {name: getattr(loaded, name) for name in (*LEARNT, "mean_rating_", "rating_scale_")} == {
        name: getattr(model, name) for name in (*LEARNT, "mean_rating_", "rating_scale_")
    }
    assert repr(loaded) == repr(model)


@pytest.mark.parametrize("mmap", [False, True])
class TestBothWaysToLoad:
    def test_the_model_comes_back_to_the_last_bit(self, model, path, mmap):
        loaded = NMF.load(path, mmap=mmap)
        assert_same_model(loaded, model)
        pd.testing.assert_frame_equal(loaded.items_.iloc[:17], model.items_.iloc[:17], check_dtype=False)
        assert loaded.W_.flags.writeable is not mmap

    def test_a_loaded_model_can_be_saved_over_its_own_file(self, model, path, mmap):
        before = path.read_bytes()
        loaded = NMF.load(path, mmap=mmap)
        loaded.save(path)
        assert path.read_bytes() == before
        assert_same_model(loaded, model)

    def test_an_intact_file_that_is_no_model_is_refused(self, path, mmap):
        arrays, header = load_arrays(path)
        wrong = [
            ({**arrays, "W": arrays["W"][:-1]}, header),
            ({**arrays, "H": arrays["H"][:, :-1]}, header),
            ({**arrays, "W": arrays["W"][:, :-1], "H": arrays["H"][:, :-1]}, header),
            ({**arrays, "history": arrays["history"][:, :2]}, header),
            ({name: array for name, array in arrays.items() if name != "H"}, header),
            (arrays, {name: value for name, value in header.items() if name != "key_"}),
            (arrays, {**header, "params": {**header["params"], "solver": {"name": "os.system"}}}),
            (arrays, {**header, "params": {**header["params"], "n_components": 3, "strange": 1}}),
        ]
        for changed_arrays, changed_header in wrong:
            save_arrays(path, changed_arrays, changed_header)
            with pytest.raises(InputError, match="does not hold a model that this package can use"):
                NMF.load(path, mmap=mmap)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("biases", 1),
        ("mean_rating_", "3"),
        ("mean_rating_", float("nan")),
        ("rating_scale_", [5, 1]),
        ("rating_scale_", [1]),
        ("events", "none"),
        ("columns", ["user"]),
        ("n_iter_", True),
        ("key_", -1),
        ("alpha_", [0.1, "x"]),
        ("solver_", 3),
        ("preference", {"target": 0, "levels": [], "weights": [], "logarithmic": False}),
        ("preference", {"target": None, "levels": [1, 2], "weights": [1], "logarithmic": False}),
        ("preference", {"target": None, "levels": [2, 1], "weights": [1, 1], "logarithmic": False}),
        ("objective", {"loss": "2"}),
        ("objective", {"alpha": [-1, 0]}),
    ],
)
def test_a_header_of_the_wrong_types_is_refused(path, name, value):
    arrays, header = load_arrays(path)
    save_arrays(path, arrays, {**header, name: value})
    with pytest.raises(InputError, match="does not hold a model that this package can use"):
        NMF.load(path)


@pytest.mark.parametrize(
    "change",
    [
        lambda arrays: {"W": arrays["W"] * np.nan},
        lambda arrays: {"H": -arrays["H"]},
        lambda arrays: {"W": arrays["W"].astype(str)},
        lambda arrays: {"W": arrays["W"].astype(np.float64)},
        lambda arrays: {name: arrays[name].astype(np.int32) for name in ("W", "H")},
        lambda arrays: {"W": arrays["W"][None]},
        lambda arrays: {"user_ids": arrays["user_ids"][::-1]},
        lambda arrays: {"item_ids": np.repeat(arrays["item_ids"][:1], len(arrays["item_ids"]))},
        lambda arrays: {"history": arrays["history"][:0]},
        lambda arrays: {"ratings_users": arrays["ratings_users"].astype(str)},
        lambda arrays: {"ratings_items": arrays["ratings_items"][1:]},
        lambda arrays: {"ratings_values": np.full_like(arrays["ratings_values"], np.inf)},
        lambda arrays: {"items_title_json": np.frombuffer(b'["one"]', np.uint8)},
    ],
)
def test_arrays_that_cannot_be_a_model_are_refused(path, change):
    arrays, header = load_arrays(path)
    save_arrays(path, {**arrays, **change(arrays)}, header)
    with pytest.raises(InputError, match="does not hold a model that this package can use"):
        NMF.load(path)


def test_codes_out_of_range_are_refused(path):
    """Kernels do not check indices: such a file would make them read foreign memory."""
    arrays, header = load_arrays(path)
    arrays["ratings_items"][5] = 18
    save_arrays(path, arrays, header)
    with pytest.raises(InputError, match="items must be codes from 0 to 17, got 18"):
        NMF.load(path)


def test_a_fresh_process_predicts_the_same_bits(model, path, tmp_path):
    X.to_pickle(tmp_path / "X.pkl")
    script = (
        "import sys, numpy as np, pandas as pd; from nmf_scratch import NMF\n"
        "np.save(sys.argv[3], NMF.load(sys.argv[1]).predict(pd.read_pickle(sys.argv[2])))"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    files = (path, tmp_path / "X.pkl", tmp_path / "r.npy")
    subprocess.run([sys.executable, "-c", script, *files], check=True, env=environment)
    np.testing.assert_array_equal(np.load(tmp_path / "r.npy"), model.predict(X))


@pytest.mark.parametrize(
    ("users", "items"),
    [
        (CODES // 18, (CODES % 18).astype(np.uint8)),
        ((CODES // 18) / 4, CODES % 18 > 8),
        (np.array([f"ü{c}" for c in CODES // 18], dtype=object), (CODES % 18).astype(object) * 10**30),
        ((CODES // 18).astype("M8[D]"), np.array([f"{c}" for c in CODES % 18])),
        (pd.Series(CODES // 18).astype(object) / 2 + 1, pd.Series(CODES % 18).astype("category")),
    ],
)
@pytest.mark.filterwarnings("ignore:.*repeated")
def test_ids_of_any_plain_type_come_back_with_their_type(tmp_path, users, items):
    table = pd.DataFrame({"user": users, "item": items})
    fitted = NMF(2, max_iter=2, random_state=0).fit(table, Y)
    fitted.save(tmp_path / "m.npz")
    for mmap in (False, True):
        loaded = NMF.load(tmp_path / "m.npz", mmap=mmap)
        for name in ("user_ids_", "item_ids_"):
            assert getattr(loaded, name).dtype == getattr(fitted, name).dtype
            assert getattr(loaded, name).tolist() == getattr(fitted, name).tolist()
        np.testing.assert_array_equal(loaded.predict(table), fitted.predict(table))


def test_the_hash_of_the_data_sees_ratings_and_ids(model, path):
    ratings, users, items = model.fitted_.ratings, model.user_ids_, model.item_ids_
    known = load_arrays(path)[1]["data_hash"]
    assert data_hash(ratings, users, items) == known
    others = [
        (ratings.with_values(ratings.values + 1), users, items),
        (ratings.take(range(299)), users, items),
        (ratings, np.append(users[1:], "v"), items),
        (ratings, users, items + 1),
    ]
    assert len({known, *(data_hash(*other) for other in others)}) == 5


def test_numbers_of_numpy_among_the_parameters_can_be_saved(tmp_path):
    solver = SGD(step=np.float32(0.125))
    fitted = NMF(np.int64(2), solver=solver, alpha=np.float32(0.5), max_iter=np.int32(2), random_state=0).fit(X, Y)
    fitted.save(tmp_path / "m.npz")
    loaded = NMF.load(tmp_path / "m.npz")
    assert (loaded.alpha, loaded.solver) == (0.5, solver)
