"""scikit-learn's estimator contract in one small class, without importing scikit-learn.

The constructor stores its arguments under their own names and does nothing else; that is what lets `get_params` read
them off the signature, and scikit-learn's `clone`, `cross_val_score` and `GridSearchCV` use any subclass unchanged.
"""

from __future__ import annotations

import inspect
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nmf_scratch._check import InputError, check_choice


def ratings_in(X: Any) -> tuple[Any, Any]:
    """Take pairs and ratings out of what holds both: a `Dataset`, or a frame with columns user, item and rating."""
    table = getattr(X, "ratings", X)
    if not {"user", "item", "rating"} <= set(getattr(table, "columns", ())):
        raise InputError("y is missing: pass the ratings, or X with columns user, item and rating")
    return table[["user", "item"]], table["rating"]


def _finite(name: str, numbers: Any) -> NDArray[np.float64]:
    """Read a column of finite numbers."""
    column: NDArray[np.float64] = np.asarray(numbers, dtype=np.float64)
    if column.ndim > 1 and column.shape[1:] != (1,):
        raise InputError(f"{name} must be one column, got shape {column.shape}")
    if not np.isfinite(column).all():
        where = int(np.argmin(np.isfinite(column.ravel())))
        raise InputError(f"{name} must hold finite numbers, got {column.ravel()[where]} at position {where}")
    return column.ravel()


def ratings_by(model: Any, X: Any) -> NDArray[np.float64]:
    """Predict ratings by any fitted model, and refuse one whose predictions are scores to sort by."""
    if not getattr(model, "predicts_ratings_", True):
        raise InputError("a ranking model predicts scores, not ratings: evaluate its lists, with evaluate_ranking")
    predictions: NDArray[np.float64] = model.predict(X)
    return predictions


class Parameters:
    """A constructor that only stores its arguments, and what follows from that."""

    @classmethod
    def _signature(cls) -> dict[str, Any]:
        """Names and default values of the constructor's arguments."""
        parameters = list(inspect.signature(cls.__init__).parameters.values())[1:]
        return {parameter.name: parameter.default for parameter in parameters}

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the constructor's arguments as they are now; `deep` is accepted for scikit-learn."""
        return {name: getattr(self, name) for name in self._signature()}

    def set_params(self, **params: Any) -> Self:
        """Change constructor arguments; an unknown name is an `InputError`."""
        for name, value in params.items():
            check_choice("parameter", name, self._signature())
            setattr(self, name, value)
        return self

    def clone(self, **changes: Any) -> Self:
        """Return an unfitted estimator with the same parameters but these."""
        for name in changes:
            check_choice("parameter", name, self._signature())
        return type(self)(**{**self.get_params(), **changes})

    def __repr__(self) -> str:
        defaults = self._signature()
        changed = {name: value for name, value in self.get_params().items() if value is not defaults[name]}
        shown = ", ".join(f"{name}={value!r}" for name, value in changed.items() if value != defaults[name])
        return f"{type(self).__name__}({shown})"


class Estimator(Parameters):
    """Base of everything that is fitted to ratings and predicts them."""

    def predict(self, X: Any) -> NDArray[np.float64]:
        """Predict the ratings of (user, item) pairs, shape (n,)."""
        raise TypeError(f"{type(self).__name__} must define predict")

    def score(self, X: Any, y: ArrayLike | None = None, sample_weight: ArrayLike | None = None) -> float:
        """Return R², the share of the variance of y that is explained: 1 at best; of a constant y, 1 or 0.

        X may hold the ratings, as in `fit`. An `InputError` of a model whose predictions are no ratings, and of numbers
        that are missing, infinite, or not one for each row of X.
        """
        if y is None:
            X, y = ratings_in(X)
        truth = _finite("y", y)
        weights = np.ones(len(truth)) if sample_weight is None else _finite("sample_weight", sample_weight)
        mean = np.average(truth, weights=weights)
        predicted = ratings_by(self, X)
        if not len(predicted) == len(truth) == len(weights):
            raise InputError(f"y must hold one rating for each of {len(predicted)} rows of X, got {len(truth)}")
        unexplained, variance = (float(weights @ off**2) for off in (truth - predicted, truth - mean))
        if variance == 0:  # as scikit-learn's r2_score has it
            return float(unexplained == 0)
        return 1.0 - unexplained / variance

    def __sklearn_tags__(self) -> Any:
        """Say what scikit-learn's tools need to know: a regressor whose X is a table of two id columns."""
        from sklearn.utils import InputTags, RegressorTags, Tags, TargetTags

        return Tags(
            estimator_type="regressor",
            target_tags=TargetTags(required=True, positive_only=True),
            regressor_tags=RegressorTags(),
            input_tags=InputTags(string=True, categorical=True, allow_nan=False),
        )
