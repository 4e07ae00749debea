"""What a model file holds, and the way back: `NMF.save` and `NMF.load` in detail.

    W, H                                             factors with their bias columns
    ratings_users, ratings_items, ratings_values     the training ratings, encoded
    ratings_weights                                  their weights, if they have any
    user_ids, item_ids                               raw ids, sorted (objects: user_ids_json, item_ids_json)
    history                                          one row per evaluated epoch
    items_<column>_json                              what is known of the items: titles, years, genres

and in the header the package's version, the parameters, what "auto" became, the rating scale, the events of the
history, and the hash of the data. How that becomes bytes is the business of `nmf_scratch._archive`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from nmf_scratch._archive import Arrays, checksum, load_arrays, restored, save_arrays, storable
from nmf_scratch._check import InputError
from nmf_scratch._version import __version__
from nmf_scratch.data.encoder import LabelEncoder
from nmf_scratch.data.inputs import PairEncoder
from nmf_scratch.data.ratings import Ratings
from nmf_scratch.fitted.state import Fitted
from nmf_scratch.history import TrainingHistory
from nmf_scratch.problem.factors import Factors
from nmf_scratch.problem.objective import Objective
from nmf_scratch.problem.preference import Preference
from nmf_scratch.solvers import SOLVERS

Model = TypeVar("Model")

LEARNT = ("solver_", "alpha_", "alpha_bias_", "max_iter_", "n_iter_", "stop_reason_", "key_")
"""Attributes that `fit` leaves besides what is `Fitted`, and that the header holds, as it does the parameters."""

LARGE = ("W", "H", "ratings_users", "ratings_items", "ratings_values", "ratings_weights")
"""Arrays that a mapped model leaves on the disk."""


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _are_numbers(value: Any) -> bool:
    return isinstance(value, list) and all(map(_is_number, value))


def _is_pair(value: Any) -> bool:
    return _are_numbers(value) and len(value) == 2


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _are_texts(value: Any) -> bool:
    return isinstance(value, list) and all(map(_is_text, value))


EXPECTED: dict[str, Callable[[Any], bool]] = {
    "biases": lambda value: isinstance(value, bool),
    "columns": lambda value: value is None or (_are_texts(value) and len(value) == 2),
    "events": _are_texts,
    "mean_rating_": lambda value: _is_number(value) and value >= 0,
    "rating_scale_": lambda value: _is_pair(value) and value[0] <= value[1],
    **dict.fromkeys(("solver_", "stop_reason_"), _is_text),
    **dict.fromkeys(("alpha_", "alpha_bias_"), lambda value: _is_number(value) or _is_pair(value)),
    **dict.fromkeys(("max_iter_", "n_iter_", "key_"), _is_whole),
}
"""What the header holds, and how it has to look: a file that somebody else made is not trusted."""

PREFERENCE: dict[str, Callable[[Any], bool]] = {
    "target": lambda value: value is None or (_is_number(value) and value > 0),
    "levels": lambda value: _are_numbers(value) and value == sorted(set(value)),
    "weights": lambda value: _are_numbers(value) and min(value, default=0) >= 0,
    "logarithmic": lambda value: isinstance(value, bool),
}
"""The same for its entry `preference`."""


def save_model(model: Any, path: str | Path) -> None:
    """Write a fitted model to one file."""
    fitted: Fitted = model.fitted_
    arrays = {
        "W": fitted.factors.W,
        "H": fitted.factors.H,
        **ratings_arrays(fitted.ratings),
        **storable("user_ids", fitted.user_ids),
        **storable("item_ids", fitted.item_ids),
        "history": model.history_.to_array(),
        **_item_arrays(fitted.items),
    }
    header = {
        "package_version": __version__,
        "params": storable_params(model.get_params()),
        "events": model.history_.events,
        "data_hash": data_hash(fitted.ratings, fitted.user_ids, fitted.item_ids),
        "columns": _text_only(fitted.ids.names),
        "objective": asdict(fitted.objective),
        "preference": asdict(fitted.preference),
        "biases": fitted.factors.biases,
        "mean_rating_": fitted.mean_rating,
        "rating_scale_": fitted.rating_scale,
        **{name: getattr(model, name) for name in LEARNT},
    }
    save_arrays(path, arrays, header)


def load_model(cls: type[Model], path: str | Path, *, mmap: bool) -> Model:
    """Read a model of the given class."""
    arrays, header = load_arrays(path, mapped=LARGE if mmap else ())
    try:
        _check_header(header)
        _check_factors(arrays)
        return _restored_model(cls, arrays, header)
    except MemoryError:
        raise
    except Exception as error:  # intact, yet no model: a file that somebody put together
        raise InputError(f"{str(path)!r} does not hold a model that this package can use ({error})") from None


def _check_header(header: dict[str, Any]) -> None:
    """Refuse numbers, texts and pairs that are something else."""
    for part, expected in ((header, EXPECTED), (header["preference"], PREFERENCE)):
        for name, is_right in expected.items():
            if not is_right(part[name]):
                raise ValueError(f"{name} is {part[name]!r}"[:200])
    if len(header["preference"]["levels"]) != len(header["preference"]["weights"]):
        raise ValueError("levels and weights are not as many")


def _check_factors(arrays: Arrays) -> None:
    """Refuse factors that are no finite numbers from 0 on, where they are not mapped, and other arrays of odd form."""
    W, H = arrays["W"], arrays["H"]
    if {W.dtype, H.dtype} not in ({np.dtype(np.float32)}, {np.dtype(np.float64)}) or W.ndim != 2 or H.ndim != 2:
        raise ValueError(f"W and H are no two matrices of one float type, but {W.dtype} and {H.dtype}")
    if W.flags.writeable and not all(np.isfinite(X).all() and (X >= 0).all() for X in (W, H)):
        raise ValueError("W or H holds an entry that is negative or not finite")
    columns = [arrays[name] for name in LARGE[2:] if name in arrays]
    if any(column.shape != (len(columns[0]),) or column.dtype.kind not in "if" for column in columns):
        raise ValueError("the ratings are no columns of numbers of one length")
    if arrays["history"].dtype != np.float64 or arrays["history"].ndim != 2 or not len(arrays["history"]):
        raise ValueError("the history is no table of numbers")


def _encoder_of(name: str, arrays: Arrays) -> LabelEncoder:
    """Return an encoder of ids that a file holds in ascending order, as rows are."""
    ids = restored(name, arrays)
    encoder = LabelEncoder(unknown="code").fit(ids)
    if not np.array_equal(encoder.classes_, ids):
        raise ValueError(f"{name} are not ascending, each once")
    return encoder


def _restored_model(cls: type[Model], arrays: Arrays, header: dict[str, Any]) -> Model:
    model: Any = cls(**_restored_params(header["params"]))
    if not isinstance(model.solver, str) or model.solver in ("auto", *SOLVERS):  # else somebody's own
        model.epochs()  # refuses bad parameters
    for name in LEARNT:
        setattr(model, name, _tupled(header[name]))
    factors, ratings = Factors(arrays["W"], arrays["H"], header["biases"]), _restored_ratings(arrays)
    ids = [_encoder_of(name, arrays) for name in ("user_ids", "item_ids")]
    if tuple(len(encoder.classes_) for encoder in ids) != ratings.shape:
        raise ValueError("there are more or fewer ids than rows")
    k = model.n_starts * model.n_components
    if factors.n_components not in (k, model.n_components) or arrays["H"].shape[1] != arrays["W"].shape[1]:
        raise ValueError("W and H have another number of columns than n_components says")
    model.history_ = TrainingHistory.from_array(arrays["history"], header["events"])
    model._fitted = Fitted(
        ids=PairEncoder(*ids, names=_tupled(header["columns"])),
        ratings=ratings,
        factors=factors,
        objective=Objective(**{name: _tupled(value) for name, value in header["objective"].items()}),
        preference=Preference(**{name: _tupled(value) for name, value in header["preference"].items()}),
        mean_rating=header["mean_rating_"],
        rating_scale=_tupled(header["rating_scale_"]),
        items=_item_frame(arrays, len(ids[1].classes_)),
        unknown=model.unknown,
    )
    return model  # type: ignore[no-any-return]


def _tupled(value: Any) -> Any:
    """Return a pair as it was before JSON made a list of it."""
    return tuple(value) if isinstance(value, list) else value


def _text_only(names: tuple[Any, Any] | None) -> list[str] | None:
    """Return the names of the columns of the training table, if JSON can hold them."""
    return list(names) if names and all(isinstance(name, str) for name in names) else None


def ratings_arrays(ratings: Ratings) -> Arrays:
    """Return encoded ratings under the names that files give them."""
    arrays = {"ratings_users": ratings.users, "ratings_items": ratings.items, "ratings_values": ratings.values}
    return arrays if ratings.weights is None else {**arrays, "ratings_weights": ratings.weights}


def _restored_ratings(arrays: Arrays) -> Ratings:
    """Check codes and values, as an index out of range would read foreign memory, unless they are mapped."""
    users, items, values = (arrays[name] for name in LARGE[2:5])
    weights = arrays.get("ratings_weights")
    n_users, n_items = len(arrays["W"]), len(arrays["H"])
    if users.flags.writeable:
        return Ratings.from_arrays(users, items, values, weights=weights, n_users=n_users, n_items=n_items, copy=False)
    return Ratings(users, items, values, n_users, n_items, weights)


def data_hash(ratings: Ratings, user_ids: NDArray[Any], item_ids: NDArray[Any]) -> str:
    """Return the SHA-256 of what a model learnt from: the encoded ratings and both id maps."""
    return checksum({**ratings_arrays(ratings), **storable("user_ids", user_ids), **storable("item_ids", item_ids)})


def storable_params(params: dict[str, Any]) -> dict[str, Any]:
    """Parameters as JSON: a solver object as its name and fields; callbacks and generators stay behind."""
    kept = {name: value for name, value in params.items() if name != "callbacks"}
    if not isinstance(kept["init"], str):
        kept["init"] = "scaled"  # the caller's arrays; training is over
    if type(kept["solver"]) in SOLVERS.values():
        kept["solver"] = {"name": kept["solver"].name, **asdict(kept["solver"])}
    elif not isinstance(kept["solver"], str):
        kept["solver"] = kept["solver"].name  # somebody's own: enough to tell, not to fit again
    if isinstance(kept["random_state"], np.random.Generator):
        kept["random_state"] = None
    if isinstance(kept["confidence"], Mapping):  # JSON has no numbers for keys
        kept["confidence"] = {"levels": list(kept["confidence"]), "weights": list(kept["confidence"].values())}
    return kept


def _restored_params(params: dict[str, Any]) -> dict[str, Any]:
    kept = {name: _tupled(value) for name, value in params.items()}
    if isinstance(kept["solver"], dict):
        fields = dict(kept["solver"])
        kept["solver"] = SOLVERS[fields.pop("name")](**fields)
    if isinstance(kept["confidence"], dict):
        kept["confidence"] = dict(zip(*kept["confidence"].values(), strict=True))
    return kept


def _item_arrays(items: pd.DataFrame | None) -> Arrays:
    """Columns of the item table as text (missing years become empty text)."""
    arrays: Arrays = {}
    if items is not None:
        for name in items:
            arrays |= storable(f"items_{name}", items[name].astype("string").fillna("").to_numpy(dtype=object))
    return arrays


def _item_frame(arrays: Arrays, n_items: int) -> pd.DataFrame | None:
    names = [name.removesuffix("_json") for name in arrays if name.startswith("items_")]
    if not names:
        return None
    frame = pd.DataFrame({name.removeprefix("items_"): restored(name, arrays).astype(object) for name in names})
    if len(frame) != n_items:
        raise ValueError(f"{len(frame)} items are described, {n_items} are known")
    if "year" in frame:
        frame["year"] = pd.to_numeric(frame["year"].replace("", None)).astype("Int64")
    return frame
