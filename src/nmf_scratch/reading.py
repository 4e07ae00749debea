"""The side of `NMF` that explains itself; how is in `nmf_scratch.interpretation`."""

from __future__ import annotations

from typing import Any

import pandas as pd

from nmf_scratch import interpretation
from nmf_scratch.updating import UpdatableModel


class ReadableModel(UpdatableModel):
    """The side of `NMF` that people read."""

    def explain(self, user: Any, item: Any) -> interpretation.Explanation:
        """Say why the score of an item is what it is: parts that add up to it, and the ratings behind them.

        Parameters
        ----------
        user : id or FoldedUser
        item : id
            Known or not: the unknown is explained as it is predicted, by the `unknown` policy.

        Returns
        -------
        Explanation
            Print it, or see `to_frame()`. Contributions sum to the unclipped score.

        Raises
        ------
        InputError
            If user or item is unknown and the policy is "raise".
        """
        self._check_fitted()
        return interpretation.explain(self, user, item)

    def factor_summary(self, n: int = interpretation.TITLES) -> pd.DataFrame:
        """Say what each factor is about and how much of the model it is: `interpretation.factor_summary`."""
        return interpretation.factor_summary(self, n)
