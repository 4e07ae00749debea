"""nmf-scratch: non-negative matrix factorisation for recommender systems, fitted to the observed ratings only.

    from nmf_scratch import NMF, load_dataset

    dataset = load_dataset("demo")
    model = NMF(random_state=0).fit(dataset)
    model.recommend(dataset.ratings["user"].iloc[0], n=10)

Names are imported when they are first used: `import nmf_scratch` alone loads no heavy library and compiles nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from nmf_scratch._version import __version__

if TYPE_CHECKING:
    from nmf_scratch._check import InputError, NotFittedError
    from nmf_scratch.data.dataset import Dataset
    from nmf_scratch.data.encoder import LabelEncoder
    from nmf_scratch.data.ratings import Ratings
    from nmf_scratch.evaluation.cross_validation import cross_validate, evaluate_groups, evaluate_ranking, summarise
    from nmf_scratch.evaluation.splits import KFold, LeaveNOut, PredefinedSplit, TimeOrderedSplit, train_test_split
    from nmf_scratch.evaluation.tuning import tune
    from nmf_scratch.model import NMF
    from nmf_scratch.readers.load import load_dataset

_HOME = {
    "NMF": "model",
    "Dataset": "data.dataset",
    "InputError": "_check",
    "NotFittedError": "_check",
    "KFold": "evaluation.splits",
    "LabelEncoder": "data.encoder",
    "LeaveNOut": "evaluation.splits",
    "PredefinedSplit": "evaluation.splits",
    "Ratings": "data.ratings",
    "TimeOrderedSplit": "evaluation.splits",
    "cross_validate": "evaluation.cross_validation",
    "evaluate_groups": "evaluation.cross_validation",
    "evaluate_ranking": "evaluation.cross_validation",
    "load_dataset": "readers.load",
    "summarise": "evaluation.cross_validation",
    "train_test_split": "evaluation.splits",
    "tune": "evaluation.tuning",
}

__all__ = [
    "NMF",
    "Dataset",
    "InputError",
    "KFold",
    "LabelEncoder",
    "LeaveNOut",
    "NotFittedError",
    "PredefinedSplit",
    "Ratings",
    "TimeOrderedSplit",
    "__version__",
    "cross_validate",
    "evaluate_groups",
    "evaluate_ranking",
    "load_dataset",
    "summarise",
    "train_test_split",
    "tune",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return __all__
