"""`NMF`, the estimator: parameters, `fit`, and a method for each question that a fitted model can be asked.

It follows scikit-learn's contract without depending on scikit-learn: the constructor stores, `fit` validates, what was
learnt ends in an underscore. What was learnt is one value, `nmf_scratch.fitted.state.Fitted`, that is replaced as a
whole: a fit or an update that fails leaves the model as it was. The methods below hand it to the functions that answer.

`W_ @ H_.T + user_bias_[:, None] + item_bias_` is in the unit of the ratings. `predict` clips to the rating scale;
`recommend` sorts by the unclipped score.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from nmf_scratch._check import InputError, NotFittedError
from nmf_scratch._estimator import Estimator
from nmf_scratch._random import RandomState, random_key
from nmf_scratch.checkpoint import Checkpoint, checkpoint_of
from nmf_scratch.data.inputs import encode, item_table
from nmf_scratch.fitted import explanation, factor_statistics, fold_in, lists, state, update
from nmf_scratch.fitted.model_file import load_model, save_model
from nmf_scratch.fitted.state import Fitted, FoldedUser
from nmf_scratch.fitting import learn, resolve
from nmf_scratch.problem.objective import Strength
from nmf_scratch.problem.preference import Preference
from nmf_scratch.solvers import Solver
from nmf_scratch.training import Callback

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class NMF(Estimator):
    """Non-negative matrix factorisation of observed ratings, r̂ = b_u + c_i + w_u · h_i with all parts ≥ 0.

    Parameters
    ----------
    n_components : int
        Number of latent factors k.
    task : {"rating", "ranking"}
        What the model is for: to predict ratings, or to sort by what people choose, which makes the better lists. A
        ranking model predicts scores, not ratings. "auto" below is the task's choice, `nmf_scratch.fitting.TASKS`.
    solver : str, Solver or "auto"
        A name in `nmf_scratch.solvers.SOLVERS`, or a solver with hyper-parameters of your own.
    loss : float
        β of the β-divergence to minimise: 2 is squared error, 1 Kullback–Leibler, 0 Itakura–Saito. What a solver can
        do, it declares in `losses`.
    biases : bool or "auto"
        Whether to add a non-negative bias per user and per item.
    unobserved_weight : float or "auto"
        Weight with which every cell of the matrix, rated or not, pulls its prediction to zero: what was not rated then
        says something too, which is what lists want (docs/learn/unrated-cells.md). 0 is for predicting ratings.
    target : float, None or "auto"
        What the prediction of a rated cell is pulled to; None is the rating.
    confidence : {"stars", "rating", "log", "threshold"}, mapping, None or "auto"
        How much a rating counts, as a function of it; see `nmf_scratch.problem.preference`. None: once.
    alpha : float, (float, float) or "auto"
        Penalty on the latent factors, of users and items alike or (users, items). "auto" is the solver's choice.
    alpha_bias : float, (float, float) or "auto"
        How firmly biases are held at a common level, in imagined ratings per user and item.
    l1_ratio : float
        Share of the penalty that is absolute (lasso) instead of squared (ridge), 0 … 1.
    weighting : {"count", "plain"} or float
        How the penalty of a row grows with its number n of ratings, as n^ν: ν from 0 ("plain", not at all) to 1
        ("count"). With 0.5 one `alpha` serves sparse and dense data alike, and rows with few ratings are held firmly.
    init : {"scaled", "popularity", "nndsvda"} or tuple of array_like
        How factors start, see `nmf_scratch.problem.initialisers`; or your own: (W, H), or (W, H, user_bias,
        item_bias), in the unit of the ratings and the order of the sorted ids, such as those of another model.
    n_starts : int
        Fits from so many starts, and joins them: their factors stand side by side, n_starts · k of them, and predict
        the mean of what each fit predicts. A little better, for as many times the time and memory, and factors that
        say the same several times.
    max_iter : int or "auto"
        Number of epochs.
    tol : float
        Relative decrease of the objective per epoch below which a monotone solver stops; 0 runs all epochs.
    kkt_tol : float
        KKT residual (scale-free distance from optimality) at which training stops; 0 does not look.
    max_seconds : float, optional
        Solver time after which no further epoch is started.
    early_stopping : bool
        Hold out a part of the ratings, stop when their error no longer falls, and keep the best factors as they are.
        (Without it, a fit with squared error ends by solving rows exactly: a deterministic solver those of all users,
        a stochastic one those with few ratings.)
    validation_fraction : float
        Size of that part, between 0 and 1.
    patience : int
        Epochs without improvement before stopping.
    exact_below : int
        A stochastic solver with squared error ends by solving the rows of items, then of users, with fewer ratings
        than this exactly, equation (FOLD.1): it visits them too rarely for them to arrive. 0 leaves them as they are;
        with `early_stopping` or another loss they always are.
    rating_scale : "infer" or (float, float)
        Range that predictions are clipped to; inferred from the training ratings by default.
    unknown : {"bias", "mean", "raise"}
        What to predict where the user or the item was not seen in training: as for an average user or item with the
        other side's own factors and bias, the mean rating, or an error.
    dtype : {"float32", "float64"}
        Type of the factors.
    n_threads : int, optional
        Threads of parallel kernels (all by default); never changes the result.
    random_state : int, Generator or None
        Seed of the start and of random orders.
    verbose : bool
        Whether to show a progress bar.
    callbacks : sequence of callable
        Called as callback(record, factors) after each epoch; a true result stops the fit.

    Attributes
    ----------
    W_, H_ : ndarray, shapes (n_users, k) and (n_items, k)
        Latent factors, in √(unit of the ratings).
    user_bias_, item_bias_ : ndarray, shapes (n_users,) and (n_items,)
        Non-negative biases, in the unit of the ratings; zeros without `biases`.
    user_ids_, item_ids_ : ndarray
        Raw ids, sorted; row r of `W_` belongs to ``user_ids_[r]``.
    n_iter_ : int
        Epochs run.
    history_ : TrainingHistory
        One record per epoch.
    stop_reason_ : str
        Why training ended; see `nmf_scratch.training`.
    solver_, alpha_, alpha_bias_, max_iter_ : str, float or pair, float or pair, int
        Name of the solver, and what "auto" was resolved to.
    rating_scale_, mean_rating_, items_ : (float, float), float, DataFrame or None
        Of the training ratings; and what is known of the items: titles, years, genres, one row per item.
    fitted_ : Fitted
        All that was learnt, as one value, for the functions in `nmf_scratch.fitted` and `nmf_scratch.plots`.
    key_ : int
        Key of all random draws; ``random_state=key_`` repeats the fit.

    Examples
    --------
    >>> from nmf_scratch import NMF
    >>> pairs = [("ann", "dune"), ("ann", "solaris"), ("bob", "dune"), ("bob", "emma"), ("eve", "emma")]
    >>> model = NMF(n_components=2, random_state=0).fit(pairs, [5, 4, 4, 1, 2])
    >>> model.predict([("eve", "dune"), ("someone new", "emma")]).shape
    (2,)
    >>> list(model.recommend("eve", n=1).columns)
    ['item', 'score', 'stars', 'n_ratings']
    """

    def __init__(
        self,
        n_components: int = 100,
        *,
        task: str = "rating",
        solver: str | Solver = "auto",
        loss: float = 2.0,
        biases: bool | str = "auto",
        unobserved_weight: float | str = "auto",
        target: float | str | None = "auto",
        confidence: Any = "auto",
        alpha: Strength = "auto",
        alpha_bias: Strength = "auto",
        l1_ratio: float = 0.0,
        weighting: str | float = 0.5,
        init: str | tuple[ArrayLike, ...] = "scaled",
        n_starts: int = 1,
        max_iter: int | str = "auto",
        tol: float = 1e-4,
        kkt_tol: float = 0.0,
        max_seconds: float | None = None,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        patience: int = 5,
        exact_below: int = 0,
        rating_scale: str | tuple[float, float] = "infer",
        unknown: str = "bias",
        dtype: str = "float32",
        n_threads: int | None = None,
        random_state: RandomState = None,
        verbose: bool = False,
        callbacks: Sequence[Callback] = (),
    ) -> None:
        self.n_components = n_components
        self.task = task
        self.solver = solver
        self.loss = loss
        self.biases = biases
        self.unobserved_weight = unobserved_weight
        self.target = target
        self.confidence = confidence
        self.alpha = alpha
        self.alpha_bias = alpha_bias
        self.l1_ratio = l1_ratio
        self.weighting = weighting
        self.init = init
        self.n_starts = n_starts
        self.max_iter = max_iter
        self.tol = tol
        self.kkt_tol = kkt_tol
        self.max_seconds = max_seconds
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.patience = patience
        self.exact_below = exact_below
        self.rating_scale = rating_scale
        self.unknown = unknown
        self.dtype = dtype
        self.n_threads = n_threads
        self.random_state = random_state
        self.verbose = verbose
        self.callbacks = callbacks

    def fit(
        self,
        X: Any,
        y: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
        *,
        checkpoint: str | Path | Checkpoint | None = None,
        resume: bool = False,
    ) -> Self:
        """Learn factors from observed ratings.

        Parameters
        ----------
        X : DataFrame, array_like, Dataset, Ratings or sparse matrix
            (user, item) pairs of shape (n, 2) in raw ids, or data that holds the ratings too; the forms are listed in
            docs/guide/your-own-data.md. With a `Dataset` the model also learns the titles.
        y : array_like of float, shape (n,)
            Ratings ≥ 0, where X does not hold them. A ranking model needs none: a pair then counts as often as it
            occurs (clicks, plays, purchases).
        sample_weight : array_like of float, shape (n,), optional
            How often each rating counts, 0 or more: weight 3 is the same rating three times, 0 leaves it out. (Where
            weights are far above 1, a stochastic solver wants smaller steps.)
        checkpoint : str, Path or Checkpoint, optional
            File to keep the run in every few seconds, so that it can go on after Ctrl-C or a crash. It must not exist
            yet, unless `resume` is true.
        resume : bool
            Whether to go on from the checkpoint, if there is one, with the same data and parameters: the result has
            the same bits as that of a run without an interruption.

        Returns
        -------
        NMF
            Itself, fitted.

        Raises
        ------
        InputError
            On parameters or data that cannot be used.
        """
        plan = resolve(self)
        ids, ratings = encode(X, y, sample_weight, choices=self.task == "ranking")
        plan.objective.check_values(ratings)
        scale = state.scale_of(ratings, self.rating_scale)
        preference = Preference.of(plan.parameters.target, plan.parameters.confidence, ratings, scale)
        terms = preference.terms(ratings)
        unit = preference.unit(terms)
        if checkpoint is not None and self.n_starts > 1:
            raise InputError(f"a checkpoint keeps one run, and n_starts={self.n_starts} makes several: leave out one")
        kept = checkpoint_of(checkpoint, resume, ids.users.classes_, ids.items.classes_)
        saved = kept and kept.saved
        key = saved.key if saved and self.random_state is None else random_key(self.random_state)
        result = learn(plan, terms, unit, key=key, checkpoint=kept)
        factors, items = result.factors.in_unit(unit), item_table(X, ids.items.classes_)
        learnt = (ids, ratings, factors, plan.objective, preference, ratings.mean, scale, items, self.unknown)
        self._fitted, self.solver_ = Fitted(*learnt), plan.solver.name
        self.alpha_, self.alpha_bias_, self.max_iter_ = plan.alpha, plan.alpha_bias, plan.stopping.max_iter
        self.key_, self.history_, self.stop_reason_ = key, result.history, result.stop_reason
        self.n_iter_ = result.history.records[-1].epoch
        if self.stop_reason_ == "diverged":
            warnings.warn(f"{result.history.events[-1]}; use a smaller step or a stronger alpha", stacklevel=2)
        if self.stop_reason_ == "interrupted":
            done = f"after {self.n_iter_:,} of {self.max_iter_:,} epochs"
            warnings.warn(f"Ctrl-C ended the fit {done}; the model keeps what it has learnt", stacklevel=2)
        return self

    def epochs(self) -> int:
        """Return the number of epochs that `fit` may run from each start, "auto" resolved."""
        return resolve(self).stopping.max_iter

    def partial_fit(self, X: Any, y: ArrayLike | None = None, sample_weight: ArrayLike | None = None) -> Self:
        """Learn from new ratings, of old and new users and items; before `fit` it is `fit`.

        Only the rows of users and items with new ratings are solved again, exactly and in turns, from *all* their
        ratings; other rows stay as they are. Parameters, and what "auto" was resolved to, stay too, and so does the
        history of the fit.

        Parameters
        ----------
        X, y
            The new ratings, in any form that `fit` takes. A pair that is known gets the new rating.
        sample_weight : array_like of float, shape (n,), optional
            How often each new rating counts, 0 or more; once by default. Old ratings keep their weights.

        Returns
        -------
        NMF
            Itself, updated.

        Raises
        ------
        InputError
            On data that cannot be used, or ids of another type than those of the fit; the model then stays as it was.
        """
        if not hasattr(self, "_fitted"):
            return self.fit(X, y, sample_weight)
        others: dict[str, Any] = {"rating_scale": self.rating_scale, "n_threads": self.n_threads}
        self._fitted = update.updated(self._fitted, X, y, sample_weight, **others)
        return self

    @property
    def predicts_ratings_(self) -> bool:
        """Whether `predict` returns ratings, not scores to sort by."""
        return self.fitted_.predicts_ratings

    @property
    def fitted_(self) -> Fitted:
        """All that the model has learnt; an error before `fit`."""
        if not hasattr(self, "_fitted"):
            raise NotFittedError(f"this {type(self).__name__} is not fitted yet: call fit first")
        return self._fitted

    def predict(self, X: Any, *item: Any) -> NDArray[np.float64]:
        """Predict the ratings of (user, item) pairs in raw ids, known or not.

        Parameters
        ----------
        X : DataFrame or array_like, shape (n, 2)
            In the place of a user id there may be a `FoldedUser`.
        *item
            Not taken, and said so: a single pair is [(user, item)].

        Returns
        -------
        ndarray of float64, shape (n,)
            Clipped to the rating scale, never NaN; with `unobserved_weight` the score as it is. Unknown ids follow the
            `unknown` policy.

        Raises
        ------
        InputError
            If an id is unknown and the policy is "raise", or X is not a table of pairs.
        """
        if item:
            raise InputError("predict takes pairs: predict([(user, item)]), or a frame with columns user and item")
        return state.predict(self.fitted_, X)

    def recommend(
        self,
        user: Any,
        n: int = 10,
        *,
        exclude_seen: bool = True,
        candidates: Any = None,
        blocked: Any = None,
        min_ratings: int = 0,
        diversity: float = 0.0,
    ) -> pd.DataFrame:
        """Recommend the n items with the highest scores.

        Parameters
        ----------
        user : id, FoldedUser, or list-like of them
            Raw user ids. A user not seen in training gets the most rated items (or an error with
            ``unknown="raise"``).
        n : int
            Length of each list; fewer where the items run out.
        exclude_seen : bool
            Whether to leave out what the user has rated.
        candidates, blocked : sequence of ids, optional
            The only items that may be listed, and items that may not. Those that the model does not know have no
            score, and are passed over.
        min_ratings : int
            Leave out items with fewer training ratings than this: little is known of them.
        diversity : float
            From 0, the best scores, to 1, the least alike: how much an item loses by its likeness to those listed
            before it, see `nmf_scratch.fitted.similarity`. The list of an unknown user stays as it is.

        Returns
        -------
        DataFrame
            Columns item; title, where known; score, which orders the list: the prediction as it is, perhaps beyond the
            scale; stars, the same clipped to the rating scale, as `predict` has it; n_ratings, how many training
            ratings the item has. A first column user for a list of users. Best first; ties by item id.

        Raises
        ------
        InputError
            If n or min_ratings is no such number, diversity is not between 0 and 1, candidates or blocked is no list,
            or a user is unknown and the policy is "raise".
        """
        wishes: dict[str, Any] = {"candidates": candidates, "blocked": blocked, "min_ratings": min_ratings}
        options: dict[str, Any] = {"exclude_seen": exclude_seen, "diversity": diversity, "n_threads": self.n_threads}
        return lists.recommend(self.fitted_, user, n, **wishes, **options)

    def similar_items(self, item: Any, n: int = 10, *, beside: NMF | None = None) -> pd.DataFrame:
        """List the items that are most like one: the cosine of their latent factors, shrunk where ratings are few.

        Parameters
        ----------
        item : id
            Raw item id.
        n : int
            Length of the list; fewer where the items run out. The item itself is not listed.
        beside : NMF, optional
            Another fitted model of the same items, such as one of ratings beside one for lists: only what is close in
            both is then close. An item that it does not know has similarity 0.

        Returns
        -------
        DataFrame
            Columns item; title, where known; similarity (0 … 1), see `nmf_scratch.fitted.similarity`; n_ratings, how
            many training ratings the item has.

        Raises
        ------
        InputError
            If the item was not seen in training: nothing is known that could be compared.
        """
        return lists.similar_items(self.fitted_, item, n, beside.fitted_ if beside else None)

    def similar_users(self, user: Any, n: int = 10, *, beside: NMF | None = None) -> pd.DataFrame:
        """List the users most like somebody: the cosine of their latent factors, shrunk where ratings are few.

        Parameters
        ----------
        user : id or FoldedUser
        n : int
            Length of the list; fewer where the users run out. A user is not listed as like themselves.
        beside : NMF, optional
            As for `similar_items`; without effect on a `FoldedUser`, which belongs to one model.

        Returns
        -------
        DataFrame
            Columns user, similarity (0 … 1), n_ratings.

        Raises
        ------
        InputError
            If nothing is known of the user.
        """
        return lists.similar_users(self.fitted_, user, n, beside.fitted_ if beside else None)

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
        return explanation.explain(self.fitted_, user, item)

    def factor_summary(self, n: int = factor_statistics.TITLES) -> pd.DataFrame:
        """Say what each factor is about, and how much of the model it is.

        Parameters
        ----------
        n : int
            Items that are named.

        Returns
        -------
        DataFrame
            One row per factor, the weightiest first: factor, its column of `W_` and `H_`; share, of the stars that all
            factors give in training; sparsity of its column of `H_`, from 0 for equal entries to 1 for a single one
            (Hoyer, JMLR 5, 2004); items and users, the share of rows with at least a tenth of the largest entry;
            genres that stand out most, by standardised excess; titles (else ids) of the n items with the largest lift.
        """
        return factor_statistics.factor_summary(self.fitted_, n)

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
        self.fitted_  # noqa: B018  an error that it is not fitted goes before one about the picture
        from nmf_scratch.plots.model import plot_model

        return plot_model(self, what)

    def fold_in(self, ratings: Any) -> FoldedUser:
        """Find the row of somebody new from their ratings; the model stays as it is.

        Parameters
        ----------
        ratings : DataFrame, mapping or sequence of pairs
            Items, in raw ids, and ratings, in the unit of the training: a frame with columns "item" and "rating" (or
            two columns in that order), {item: rating}, or [(item, rating), …]. Of repeated items the last counts.

        Returns
        -------
        FoldedUser
            `predict`, `recommend` and `explain` take it in place of a user id. If the model knows none of the items,
            it is answered for like an unknown user.

        Raises
        ------
        InputError
            If a rating is no finite number ≥ 0, or no item is known and the policy is "raise".

        Warns
        -----
        UserWarning
            About items that the model does not know, which are left out, and ratings outside its scale.

        Examples
        --------
        >>> from nmf_scratch import NMF
        >>> pairs = [("ann", "dune"), ("ann", "solaris"), ("bob", "dune"), ("bob", "emma"), ("eve", "emma")]
        >>> model = NMF(n_components=2, random_state=0).fit(pairs, [5, 4, 4, 1, 2])
        >>> new = model.fold_in([("dune", 5), ("emma", 1)])
        >>> model.recommend(new)["item"].tolist()
        ['solaris']
        """
        return fold_in.fold_in(self.fitted_, ratings, n_threads=self.n_threads)

    def fold_in_many(self, X: Any, y: ArrayLike | None = None) -> dict[Any, FoldedUser]:
        """Find the rows of many new people at once.

        Parameters
        ----------
        X, y
            (user, item) pairs and ratings, in any form that `fit` takes. The user ids are only names here: those of
            trained users are folded in too, and the model's own rows are not looked at.

        Returns
        -------
        dict
            A `FoldedUser` for each user id, in sorted order. Warnings and errors are those of `fold_in`.
        """
        return fold_in.fold_in_many(self.fitted_, X, y, n_threads=self.n_threads)

    def save(self, path: str | Path) -> None:
        """Write the model to one safetensors file: factors, id maps, training ratings, titles, parameters, history.

        Parameters
        ----------
        path : str or Path
            An existing file is replaced in one step; a crash leaves the old one.
        """
        save_model(self, path)

    @classmethod
    def load(cls, path: str | Path, *, mmap: bool = False) -> Self:
        """Read a model that `save` wrote; it predicts and recommends the same bits.

        Parameters
        ----------
        path : str or Path
        mmap : bool
            Whether to leave factors and ratings on the disk and map them into memory, read-only: loading then takes
            an instant whatever their size, and several processes share one copy. All of the file is verified but the
            content of these arrays; where it may be damaged, or comes from somebody else, load it as a whole.

        Raises
        ------
        InputError
            If the file is missing, damaged, of a newer version, or no model.
        """
        return load_model(cls, path, mmap=mmap)

    @property
    def W_(self) -> NDArray[Any]:
        """User factors, shape (n_users, k)."""
        return self.fitted_.W

    @property
    def H_(self) -> NDArray[Any]:
        """Item factors, shape (n_items, k)."""
        return self.fitted_.H

    @property
    def user_bias_(self) -> NDArray[Any]:
        """Non-negative user biases, shape (n_users,), in the unit of the ratings; zeros without `biases`."""
        return self.fitted_.user_bias

    @property
    def item_bias_(self) -> NDArray[Any]:
        """Non-negative item biases, shape (n_items,), in the unit of the ratings; zeros without `biases`."""
        return self.fitted_.item_bias

    @property
    def user_ids_(self) -> NDArray[Any]:
        """Raw user ids, sorted, shape (n_users,)."""
        return self.fitted_.user_ids

    @property
    def item_ids_(self) -> NDArray[Any]:
        """Raw item ids, sorted, shape (n_items,)."""
        return self.fitted_.item_ids

    @property
    def items_(self) -> pd.DataFrame | None:
        """What is known of the items: titles, years, genres, one row per item; None if nothing is."""
        return self.fitted_.items

    @property
    def mean_rating_(self) -> float:
        """Mean of the training ratings, by weight."""
        return self.fitted_.mean_rating

    @property
    def rating_scale_(self) -> tuple[float, float]:
        """What predictions are clipped to."""
        return self.fitted_.rating_scale

    @property
    def n_features_in_(self) -> int:
        """Number of columns of X, for scikit-learn: 2, the user and the item."""
        return 2 * bool(self.fitted_)

    @property
    def feature_names_in_(self) -> NDArray[Any]:
        """Names of the two columns, for scikit-learn; there are none if the model was not fitted to a DataFrame."""
        names = self.fitted_.ids.names
        if names is None or not all(isinstance(name, str) for name in names):
            raise AttributeError("feature_names_in_ exists only after fit was given a DataFrame with named columns")
        return np.array(names, dtype=object)

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "_fitted")
