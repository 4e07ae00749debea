"""`NMF`, the estimator: factors behind the caller's own ids.

Here is the learning side: parameters, checks, and the way from raw ratings to factors. What a fitted model can be asked
is in `nmf_scratch.fitted.state`. Both follow scikit-learn's contract without depending on scikit-learn: the constructor
stores, `fit` validates, what was learnt ends in an underscore.

Ratings are divided by their mean before training, so that penalties and step sizes mean the same on a scale of 1–5 and
of 0–100; the factors are scaled back afterwards, so that `W_ @ H_.T + user_bias_[:, None] + item_bias_` is in the unit
of the ratings. `predict` clips to the rating scale; `recommend` sorts by the unclipped score.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike

from nmf_scratch._check import InputError, check_choice, check_number
from nmf_scratch._progress import EpochProgress
from nmf_scratch._random import SPLIT, RandomState, generator, random_key
from nmf_scratch.checkpoint import Checkpoint, checkpoint_of
from nmf_scratch.data.inputs import encode, item_table
from nmf_scratch.data.ratings import Ratings
from nmf_scratch.factors import Factors
from nmf_scratch.fitted.fold_in import rows_below, with_best_rows
from nmf_scratch.fitted.reading import ReadableModel
from nmf_scratch.fitted.state import UNKNOWN_POLICIES
from nmf_scratch.fitted.update import Strength
from nmf_scratch.initialisers import INITIALISERS, own_start
from nmf_scratch.objective import Objective
from nmf_scratch.solvers import SOLVERS, Solver
from nmf_scratch.training import Callback, FitResult, Monitor, Stopping, ended, fit_factors

MAX_COMPONENTS = 10_000
"""More factors than this is a mistake: a slip of the keyboard would fill the memory."""


class NMF(ReadableModel):
    """Non-negative matrix factorisation of observed ratings, r̂ = b_u + c_i + w_u · h_i with all parts ≥ 0.

    Parameters
    ----------
    n_components : int
        Number of latent factors k.
    solver : str or Solver
        A name in `nmf_scratch.solvers.SOLVERS`, or a solver with hyper-parameters of your own.
    loss : float
        β of the β-divergence to minimise: 2 is squared error, 1 Kullback–Leibler, 0 Itakura–Saito. What a solver can
        do, it declares in `losses`.
    biases : bool
        Whether to add a non-negative bias per user and per item.
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
        How factors start, see `nmf_scratch.initialisers`; or your own: (W, H), or (W, H, user_bias, item_bias), in the
        unit of the ratings and the order of the sorted ids, such as those of another model.
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
    alpha_, alpha_bias_, max_iter_ : float or pair, float or pair, int
        What "auto" was resolved to.
    rating_scale_, mean_rating_ : (float, float), float
        Of the training ratings.
    key_ : int
        Key of all random draws; ``random_state=key_`` repeats the fit.

    Examples
    --------
    >>> from nmf_scratch import NMF
    >>> pairs = [("ann", "dune"), ("ann", "solaris"), ("bob", "dune"), ("bob", "emma"), ("eve", "emma")]
    >>> model = NMF(n_components=2, random_state=0).fit(pairs, [5, 4, 4, 1, 2])
    >>> model.predict([("eve", "dune"), ("a stranger", "emma")]).shape
    (2,)
    >>> list(model.recommend("eve", n=1).columns)
    ['item', 'score', 'stars', 'n_ratings']
    """

    def __init__(
        self,
        n_components: int = 100,
        *,
        solver: str | Solver = "adagrad",
        loss: float = 2.0,
        biases: bool = True,
        alpha: Strength = "auto",
        alpha_bias: Strength = "auto",
        l1_ratio: float = 0.0,
        weighting: str | float = 0.5,
        init: str | tuple[ArrayLike, ...] = "scaled",
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
        self.solver = solver
        self.loss = loss
        self.biases = biases
        self.alpha = alpha
        self.alpha_bias = alpha_bias
        self.l1_ratio = l1_ratio
        self.weighting = weighting
        self.init = init
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
            Ratings ≥ 0, where X does not hold them.
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
        solver, objective, stopping = self._problem()
        self._encoder, self._ratings = encode(X, y, sample_weight)
        self.items_ = item_table(X, self._encoder.items.classes_)
        kept = checkpoint_of(checkpoint, resume, self._encoder.users.classes_, self._encoder.items.classes_)
        saved = kept and kept.saved
        self.key_ = saved.key if saved and self.random_state is None else random_key(self.random_state)
        self._learn_scale(self._ratings)
        result = self._train(solver, objective, stopping, kept)
        self._factors = result.factors.in_unit(self._unit)
        self.history_, self.stop_reason_ = result.history, result.stop_reason
        self.n_iter_ = result.history.records[-1].epoch
        if self.stop_reason_ == "diverged":
            warnings.warn(f"{result.history.events[-1]}; use a smaller step or a stronger alpha", stacklevel=2)
        return self

    def epochs(self) -> int:
        """Return the number of epochs that `fit` may run, "auto" resolved."""
        return self._problem()[2].max_iter

    def _problem(self) -> tuple[Solver, Objective, Stopping]:
        """Validate the parameters and resolve "auto"."""
        check_number("n_components", self.n_components, minimum=1, maximum=MAX_COMPONENTS, integer=True)
        check_number("validation_fraction", self.validation_fraction, minimum=0.0, maximum=0.5, exclusive=True)
        check_number("exact_below", self.exact_below, minimum=0, integer=True)
        check_choice("unknown", self.unknown, UNKNOWN_POLICIES)
        check_choice("dtype", self.dtype, ("float32", "float64"))
        if isinstance(self.init, str):
            check_choice("init", self.init, INITIALISERS)
        check_number("loss", self.loss, minimum=0.0, maximum=2.0)
        solver = self._solver()
        self._check_loss(solver)
        defaults = solver.defaults
        self.alpha_ = defaults.alpha if self.alpha == "auto" else self.alpha
        self.alpha_bias_ = defaults.alpha_bias if self.alpha_bias == "auto" else self.alpha_bias
        self.max_iter_ = defaults.max_iter if self.max_iter == "auto" else self.max_iter
        stopping = Stopping(self.max_iter_, self.tol, self.patience, self.kkt_tol, self.max_seconds)  # type: ignore[arg-type]
        return solver, self._objective(), stopping

    def _solver(self) -> Solver:
        if isinstance(self.solver, str):
            check_choice("solver", self.solver, SOLVERS)
            return SOLVERS[self.solver]()
        if not isinstance(self.solver, tuple(SOLVERS.values())):
            raise InputError(f"solver must be a name or a solver object, got {self.solver!r}")
        return self.solver

    def _check_loss(self, solver: Solver) -> None:
        """Refuse a divergence that the solver cannot minimise, and name the solvers that can."""
        able = [name for name, other in SOLVERS.items() if other.losses[0] <= self.loss <= other.losses[1]]
        if solver.name not in able:
            raise InputError(f"solver {solver.name!r} cannot minimise loss={self.loss}; these can: {', '.join(able)}")

    def _train(
        self, solver: Solver, objective: Objective, stopping: Stopping, checkpoint: Checkpoint | None
    ) -> FitResult:
        scaled = self._scaled(self._ratings)
        train, valid = self._hold_out(scaled) if self.early_stopping else (scaled, None)
        start = self._start(train)
        bar = EpochProgress(stopping.max_iter, f"{solver.name}, k = {self.n_components}") if self.verbose else None
        with bar or nullcontext():
            monitor = Monitor(unit=self._unit, callbacks=(*self.callbacks, *([bar] if bar else [])))
            result = fit_factors(
                train, start, solver, objective, stopping,
                valid=valid, monitor=monitor, key=self.key_, n_threads=self.n_threads, checkpoint=checkpoint,
            )  # fmt: skip
        # Rows that were stopped early are not meant to be minima, and other losses have none in closed form.
        if valid is not None or objective.loss != 2 or result.stop_reason == "diverged":
            return result
        return self._ended(result, solver, scaled, objective)

    def _ended(self, result: FitResult, solver: Solver, ratings: Ratings, objective: Objective) -> FitResult:
        """Solve rows exactly at the end: those that a stochastic solver hardly visits, or every user's.

        The latter cannot raise the objective of a solver that descends, and makes a user's row what their ratings say,
        as `fold_in` would have it.
        """
        if solver.stochastic:
            users, items = rows_below(ratings, self.exact_below)
        else:
            users, items = np.flatnonzero(ratings.user_counts), np.zeros(0, np.intp)
        if not len(users) + len(items):
            return result
        said = f"the rows of {len(items):,} items and {len(users):,} users were solved exactly"

        def step(factors: Factors) -> Factors:
            return with_best_rows(factors, ratings, objective, (users, items), n_threads=self.n_threads)

        return ended(result, step, ratings, objective, self._unit, said)

    def _start(self, train: Ratings) -> Factors:
        """Return the first factors: drawn or computed by name, or the caller's own."""
        if isinstance(self.init, str):
            draw = INITIALISERS[self.init]
            return draw(train, self.n_components, biases=self.biases, dtype=self.dtype, key=self.key_)
        given = own_start(self.init, train, self.n_components, biases=self.biases, dtype=self.dtype)
        return given.in_unit(1 / self._unit)

    def _hold_out(self, ratings: Ratings) -> tuple[Ratings, Ratings]:
        n_valid = round(self.validation_fraction * len(ratings))
        if not 0 < n_valid < len(ratings):
            raise InputError(f"early_stopping needs more than {len(ratings)} ratings to hold out a validation part")
        order = generator(self.key_, SPLIT).permutation(len(ratings))
        return ratings.take(order[n_valid:]), ratings.take(order[:n_valid])
