"""The side of `NMF` that explains itself; how is in `nmf_scratch.fitted.explanation`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd

from nmf_scratch.fitted import explanation
from nmf_scratch.fitted.update import UpdatableModel

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class ReadableModel(UpdatableModel):
    """The side of `NMF` that people read."""

    def explain(self, user: Any, item: Any) -> explanation.Explanation:
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
        return explanation.explain(self, user, item)

    def factor_summary(self, n: int = explanation.TITLES) -> pd.DataFrame:
        """Say what each factor is about and how much of the model it is: `explanation.factor_summary`."""
        return explanation.factor_summary(self, n)

    def plot(self, what: str = "convergence") -> Figure:
        """Draw the model; a notebook shows the figure by itself, `nmf_scratch.plots.style.save_figure` writes it.

        Parameters
        ----------
        what : str
            "convergence", "titles" or "genres" of the factors, their "strengths" or "usage", a map of "items" or
            "users". What needs other ratings than the model's own has functions in `nmf_scratch.plots`.

        Returns
        -------
        Figure
            Of matplotlib's, which is loaded only now.

        Raises
        ------
        InputError
            If there is no such picture, or the model does not know what it needs, such as genres.
        """
        self._check_fitted()
        from nmf_scratch.plots.model import plot_model

        return plot_model(self, what)
