"""What a training run leaves behind besides its factors: a record per evaluated epoch, and what happened on the way."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from nmf_scratch._html import summary

if TYPE_CHECKING:
    import pandas as pd


class EpochRecord(NamedTuple):
    """What is known after an epoch; NaN where it was not evaluated.

    Attributes
    ----------
    epoch : int
        0 is the start, before any update.
    seconds : float
        Solver time so far; evaluation and compilation excluded.
    objective : float
        f(W, H) of (P.2), for ratings scaled to a mean of 1.
    train_rmse, valid_rmse : float
        In the unit of the ratings; unclipped.
    kkt : float
        Scale-free KKT residual (P.5).
    """

    epoch: int
    seconds: float
    objective: float
    train_rmse: float
    valid_rmse: float
    kkt: float


@dataclass
class TrainingHistory:
    """The records of a run, one per evaluated epoch, and what was done to keep it alive."""

    records: list[EpochRecord] = field(default_factory=list)
    events: list[str] = field(default_factory=list)

    def to_frame(self) -> pd.DataFrame:
        """Return a DataFrame with columns epoch, seconds, objective, train_rmse, valid_rmse, kkt."""
        import pandas as pd

        return pd.DataFrame(self.records, columns=EpochRecord._fields)

    def _repr_html_(self) -> str:
        columns = [name for name, values in zip(EpochRecord._fields, self.to_array().T, strict=True)
                   if not np.isnan(values).all()]  # fmt: skip
        rows = [[getattr(record, name) for name in columns] for record in self.records]
        return summary(" ".join([f"{len(rows)} records.", *self.events]), columns, rows)

    def to_array(self) -> NDArray[np.float64]:
        """Return the records as numbers, shape (n_records, 6)."""
        return np.array(self.records, dtype=np.float64).reshape(-1, len(EpochRecord._fields))

    @classmethod
    def from_array(cls, array: NDArray[np.float64], events: list[str]) -> Self:
        """Return the history that `to_array` took, with these events."""
        return cls([EpochRecord(int(row[0]), *row[1:]) for row in array.tolist()], list(events))


class Kept(NamedTuple):
    """A run as it was after an epoch: all that it takes to go on with the same bits.

    Attributes
    ----------
    arrays : dict of str to ndarray
        W, H, history and, where they are others, best_W and best_H.
    numbers : dict
        Of the loop: epoch, seconds, repairs, events, best_rmse, best_epoch.
    state : dict
        What the solver remembers: the entries of its state that its `memory` names.
    stop_reason : str or None
        Why the run ended; None if it may go on.
    """

    arrays: dict[str, Any]
    numbers: dict[str, Any]
    state: dict[str, Any]
    stop_reason: str | None = None
