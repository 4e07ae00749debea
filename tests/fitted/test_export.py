import sys
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy

from nmf_scratch import NMF, InputError
from nmf_scratch.data.dataset import Dataset
from nmf_scratch.fitted import export
from nmf_scratch.fitted.export import export_factors
from nmf_scratch.problem.factors import Factors

RNG = np.random.default_rng(0)
CODES = RNG.permutation(30 * 18)[:300]
FRAME = pd.DataFrame(
    {
        "user": [f'ü,"{code:02d}' for code in CODES // 18],
        "item": CODES % 18 + 100,
        "rating": RNG.integers(1, 11, 300) / 2,
    }
)
ITEMS = pd.DataFrame({"item": range(100, 117), "title": [f"Film, {n}" for n in range(17)]})


@pytest.fixture(scope="module")
def model():
    return NMF(3, max_iter=5, random_state=1).fit(Dataset(name="x", ratings=FRAME, items=ITEMS))


def read(path):
    if path.suffix == ".parquet":
        return pytest.importorskip("pyarrow.parquet").read_table(path).to_pandas()
    table = pd.read_csv(path, keep_default_na=False)
    return table.astype({name: np.float32 for name in table if name == "bias" or name.startswith("factor_")})


@pytest.mark.parametrize("form", export.FORMATS)
class TestBothFormats:
    def test_the_tables_hold_the_model_to_the_last_bit(self, model, tmp_path, form, monkeypatch):
        monkeypatch.setattr(export, "ROWS", 7)  # several pieces, the last one shorter
        paths = export_factors(model.fitted_, tmp_path, format=form)
        assert [path.name for path in paths] == [f"user_factors.{form}", f"item_factors.{form}"]
        users, items = map(read, paths)
        factors = ["factor_0", "factor_1", "factor_2"]
        assert list(users) == ["user", "bias", *factors]
        assert list(items) == ["item", "title", "bias", *factors]
        for table, name, ids, matrix, bias in (
            (users, "user", model.user_ids_, model.W_, model.user_bias_),
            (items, "item", model.item_ids_, model.H_, model.item_bias_),
        ):
            assert table[name].tolist() == ids.tolist()
            np.testing.assert_array_equal(table[factors].to_numpy(), matrix, strict=True)
            np.testing.assert_array_equal(table["bias"].to_numpy(), bias, strict=True)
        assert items["title"].tolist() == [*ITEMS["title"], ""]  # the last item is in no table

    def test_predictions_can_be_made_from_the_tables(self, model, tmp_path, form):
        users, items = map(read, export_factors(model.fitted_, tmp_path, format=form))
        u, i = users.iloc[4], items.iloc[7]
        score = u["bias"] + i["bias"] + sum(u[f"factor_{f}"] * i[f"factor_{f}"] for f in range(3))
        assert np.clip(score, 0.5, 5) == pytest.approx(model.predict(pd.DataFrame([[u["user"], i["item"]]]))[0])

    def test_without_biases_they_are_zero_and_without_titles_there_is_no_column(self, tmp_path, form):
        paths = export_factors(NMF(2, biases=False, max_iter=2).fit(FRAME).fitted_, tmp_path, format=form)
        items = read(paths[1])
        assert list(items) == ["item", "bias", "factor_0", "factor_1"]
        assert items["bias"].tolist() == [0.0] * 18

    def test_tables_are_not_replaced_unasked_and_both_or_none(self, model, tmp_path, form):
        (tmp_path / f"item_factors.{form}").write_text("mine")
        with pytest.raises(InputError, match=rf"item_factors\.{form}' exists: overwrite it \(overwrite=True"):
            export_factors(model.fitted_, tmp_path, format=form)
        assert [path.name for path in tmp_path.iterdir()] == [f"item_factors.{form}"]
        export_factors(model.fitted_, tmp_path, format=form, overwrite=True)
        assert len(read(tmp_path / f"item_factors.{form}")) == 18

    def test_a_failure_leaves_nothing(self, model, tmp_path, form):
        def fail(done, total):
            if done == total:
                raise OSError("No space left on device")

        with pytest.raises(OSError, match="No space left"):
            export_factors(model.fitted_, tmp_path, format=form, progress=fail)
        assert list(tmp_path.iterdir()) == []

    def test_progress_is_told_in_bytes_of_factors(self, model, tmp_path, form, monkeypatch):
        monkeypatch.setattr(export, "ROWS", 10)
        told = []
        export_factors(
            model.fitted_, tmp_path / "new" / "folder", format=form, progress=lambda *args: told.append(args)
        )
        row = 3 * 4
        assert told == [(rows * row, 48 * row) for rows in (10, 20, 30, 40, 48)]

    def test_ids_of_other_types_are_written_too(self, tmp_path, form):
        frame = pd.DataFrame({"user": FRAME["item"].astype(object) * 10**30, "item": FRAME["user"], "rating": 1.0})
        users = read(export_factors(NMF(2, max_iter=1).fit(frame).fitted_, tmp_path, format=form)[0])
        assert list(map(str, users["user"])) == [str(item * 10**30) for item in range(100, 118)]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st_numpy.arrays(np.float32, (30, 3), elements=st.floats(0, 2**100, width=32)))
def test_any_number_comes_back_from_text(model, tmp_path, W):
    factors = Factors(np.hstack([W, np.ones((30, 2), np.float32)]), model.fitted_.factors.H, True)
    users = read(export_factors(replace(model.fitted_, factors=factors), tmp_path, overwrite=True)[0])
    np.testing.assert_array_equal(users[["factor_0", "factor_1", "factor_2"]].to_numpy(), W)


def test_parquet_without_pyarrow_names_the_remedy(model, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(InputError, match=r'needs pyarrow: install it with pip install "nmf-scratch\[parquet\]"'):
        export_factors(model.fitted_, tmp_path, format="parquet")
    assert list(tmp_path.iterdir()) == []


def test_unknown_formats_and_unfitted_models_are_refused(model, tmp_path):
    with pytest.raises(InputError, match="format='xls' is unknown; choose one of: csv, parquet"):
        export_factors(model.fitted_, tmp_path, format="xls")
    with pytest.raises(InputError, match="not fitted yet"):
        export_factors(NMF().fitted_, tmp_path)
