"""Run one library in a process of its own: jobs come as lines of JSON, results go back as lines of JSON.

    python benchmarks/peer_worker.py LIBRARY DATA.npz THREADS

Driven by peers.py. The process imports NumPy and the library, nothing else, so that it runs in an environment that has
no nmf_scratch; it loads the data, brings it into the form that the library fits, says {"ready": …}, and then answers

    {"rank": 32, "epochs": 5}     with {"seconds": …, "rmse": …, "peak": …}; "strength" sets another penalty
    {"n": 10}                     with {"seconds": …}, for the two libraries that are asked for top-N lists

`seconds` is the time of a fit from scratch, from the library's own form of the ratings to factors: drawing the start
and any sorting inside the library count; reading, the library's data set class, compilation and evaluation do not.
`peak` is what the fit added to the memory of the process, in bytes.

Each library is a function that takes the data and the number of threads and returns a fit: (rank, epochs, strength of
the penalty) → `Model`. Everything else, such as step sizes, is the library's own default.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

STRENGTHS = {
    "libmf": 0.07,
    "cornac-mf": 0.06,
    "cornac-nmf": 0.1,
    "surprise-svd": 0.06,
    "surprise-nmf": 0.1,
    "cmfrec": 0.1,
    "sgd": 0.026,
    "sgd+biases": 0.022,
    "block-sgd": 0.026,
    "block-sgd+biases": 0.022,
    "mu": 0.022,
    "cd": 0.035,
    "als": 0.035,
}
"""Penalty of each library, in its own unit, from a grid at rank 32: see `peers.py --choose`."""


class Data(NamedTuple):
    """Training and validation ratings, in stars, sorted by user and item as in MovieLens's files."""

    users: np.ndarray
    items: np.ndarray
    values: np.ndarray
    valid_users: np.ndarray
    valid_items: np.ndarray
    valid_values: np.ndarray
    shape: np.ndarray


@dataclass
class Model:
    """What a fit gave, and how long it took.

    Attributes
    ----------
    seconds : float
        Time of the fit.
    W, H : ndarray, shapes (n_users, k) and (n_items, k)
        Factors.
    user_bias, item_bias : ndarray or float
        Biases, in stars.
    mean : float
        What every prediction starts from, in stars.
    """

    seconds: float
    W: np.ndarray
    H: np.ndarray
    user_bias: Any = 0.0
    item_bias: Any = 0.0
    mean: float = 0.0

    def rmse(self, data: Data) -> float:
        """Return the error on the validation ratings, in stars; predictions are not clipped."""
        users, items = data.valid_users, data.valid_items
        predicted = np.einsum("rk,rk->r", self.W[users], self.H[items]).astype(np.float64) + self.mean
        predicted += np.broadcast_to(self.user_bias, len(self.W))[users]
        predicted += np.broadcast_to(self.item_bias, len(self.H))[items]
        return float(np.sqrt(np.mean((data.valid_values - predicted) ** 2)))


Fit = Callable[[int, int, float], Model]
TopN = Callable[[int], float]


def timed(function: Callable[..., Any], *args: Any, **options: Any) -> tuple[float, Any]:
    """Return the seconds that a call took, and its result."""
    started = time.perf_counter()
    result = function(*args, **options)
    return time.perf_counter() - started, result


def libmf(data: Data, threads: int) -> Fit:
    """LIBMF with `--nmf`: stochastic gradients on blocks, adaptive steps, no biases, float32."""
    from libmf import mf

    rows = np.column_stack([data.users, data.items, data.values]).astype(np.float32)
    options = {"fun": mf.P_L2_MFR, "nr_threads": threads, "do_nmf": True, "quiet": True}
    options |= {"lambda_p1": 0.0, "lambda_q1": 0.0}

    def fit(rank: int, epochs: int, strength: float) -> Model:
        model = mf.MF(k=rank, nr_iters=epochs, lambda_p2=strength, lambda_q2=strength, **options)
        seconds, _ = timed(model.fit, rows)
        result = Model(seconds, model.p_factors(), model.q_factors())
        mf.mf.mf_destroy_model(mf.ctypes.byref(mf.ctypes.pointer(model.model)))  # the wrapper never frees
        return result

    return fit


def cornac_data(data: Data) -> Any:
    """Return the ratings as cornac's data set, built directly: its own constructor loops in Python."""
    from cornac.data import Dataset

    n_users, n_items = map(int, data.shape)
    maps = [{code: code for code in range(size)} for size in (n_users, n_items)]
    triples = data.users.astype(np.int64), data.items.astype(np.int64), data.values.astype(np.float64)
    return Dataset(n_users, n_items, *maps, triples)


def cornac_mf(data: Data, threads: int) -> Fit:
    """Cornac's MF: plain SGD with biases, factors of any sign, float32; its threads race for rows."""
    from cornac.models.mf import MF

    train = cornac_data(data)

    def fit(rank: int, epochs: int, strength: float) -> Model:
        np.random.seed(0)  # noqa: NPY002  (a seed of its own would make cornac use one thread)
        model = MF(k=rank, max_iter=epochs, lambda_reg=strength, use_bias=True, num_threads=threads)
        seconds, _ = timed(model.fit, train)
        return Model(
            seconds, model.u_factors, model.i_factors, model.u_biases, model.i_biases, float(model.global_mean)
        )

    return fit


def cornac_nmf(data: Data, threads: int) -> Fit:
    """Cornac's NMF: multiplicative updates, no biases, float32; its threads race for sums."""
    from cornac.models.nmf import NMF

    train = cornac_data(data)

    def fit(rank: int, epochs: int, strength: float) -> Model:
        np.random.seed(0)  # noqa: NPY002
        model = NMF(k=rank, max_iter=epochs, lambda_reg=strength, num_threads=threads)
        seconds, _ = timed(model.fit, train)
        return Model(seconds, model.u_factors, model.i_factors)

    return fit


def surprise_data(data: Data) -> Any:
    """Return the ratings as Surprise's training set: dictionaries of lists."""
    from surprise.trainset import Trainset

    by_user: dict[int, list[Any]] = {}
    by_item: dict[int, list[Any]] = {}
    for user, item, value in zip(data.users.tolist(), data.items.tolist(), data.values.tolist(), strict=True):
        by_user.setdefault(user, []).append((item, value))
        by_item.setdefault(item, []).append((user, value))
    return Trainset(by_user, by_item, *map(int, data.shape), len(data.values), (0.5, 5.0), {}, {})


def surprise_svd(data: Data, threads: int) -> Fit:
    """Surprise's SVD: plain SGD with biases, factors of any sign, float64, one thread."""
    from surprise import SVD

    train = surprise_data(data)

    def fit(rank: int, epochs: int, strength: float) -> Model:
        model = SVD(n_factors=rank, n_epochs=epochs, reg_all=strength, random_state=0)
        seconds, _ = timed(model.fit, train)
        return Model(seconds, model.pu, model.qi, model.bu, model.bi, train.global_mean)

    return fit


def surprise_nmf(data: Data, threads: int) -> Fit:
    """Surprise's NMF: multiplicative updates, no biases, float64, one thread."""
    from surprise import NMF

    train = surprise_data(data)

    def fit(rank: int, epochs: int, strength: float) -> Model:
        model = NMF(n_factors=rank, n_epochs=epochs, reg_pu=strength, reg_qi=strength, random_state=0)
        seconds, _ = timed(model.fit, train)
        return Model(seconds, model.pu, model.qi)

    return fit


def cmfrec(data: Data, threads: int) -> Fit:
    """Cmfrec's CMF: non-negative least squares in turns, no biases and no centring, penalty by count, float32."""
    from cmfrec import CMF
    from scipy.sparse import coo_matrix

    ratings = coo_matrix((data.values, (data.users, data.items)), shape=tuple(data.shape), dtype=np.float32)
    extras = {"user_bias": False, "item_bias": False, "center": False, "nthreads": threads}
    extras |= {"precompute_for_predictions": False, "verbose": False}

    def fit(rank: int, epochs: int, strength: float) -> Model:
        model = CMF(k=rank, niter=epochs, lambda_=strength, nonneg=True, use_float=True, scale_lam=True, **extras)
        seconds, _ = timed(model.fit, ratings)
        return Model(seconds, model.A_, model.B_)

    return fit


def sklearn_nmf(data: Data, threads: int) -> Fit:
    """scikit-learn's NMF, coordinate descent: every pair that nobody rated is taken for a rating of zero."""
    from scipy.sparse import csr_matrix
    from sklearn.decomposition import NMF

    ratings = csr_matrix((data.values, (data.users, data.items)), shape=tuple(data.shape), dtype=np.float32)

    def fit(rank: int, epochs: int, strength: float) -> Model:
        model = NMF(n_components=rank, max_iter=epochs, tol=0.0, init="random", random_state=0)
        seconds, W = timed(model.fit_transform, ratings)
        return Model(seconds, W, model.components_.T)

    return fit


def ours(solver_name: str, biases: bool) -> Callable[[Data, int], Fit]:
    """nmf_scratch, through the protocol of its solvers, with their default parameters, float32."""

    def prepare(data: Data, threads: int) -> Fit:
        import numba

        from nmf_scratch import Ratings
        from nmf_scratch.problem.factors import BIAS_LEVEL, scaled_start
        from nmf_scratch.problem.objective import Objective
        from nmf_scratch.solvers import SOLVERS

        numba.set_num_threads(threads)
        solver = SOLVERS[solver_name]()
        bias = solver.defaults.alpha_bias
        n_users, n_items = map(int, data.shape)
        encoded = Ratings.from_arrays(data.users, data.items, data.values, n_users=n_users, n_items=n_items)

        def learn(ratings: Ratings, rank: int, epochs: int, strength: float) -> tuple[Any, float]:
            unit = float(ratings.values.mean(dtype=np.float64))
            train = ratings.with_values(ratings.values / np.float32(unit))  # new views: sorting by item counts
            factors = scaled_start(train, rank, biases=biases)
            objective = Objective((strength, strength), (bias, bias), BIAS_LEVEL)
            state = solver.start(train, factors, objective, key=0, max_iter=epochs)
            for _ in range(epochs):
                solver.epoch(state)
            return factors, unit

        def fit(rank: int, epochs: int, strength: float) -> Model:
            seconds, (factors, unit) = timed(learn, encoded, rank, epochs, strength)
            factors = factors.in_unit(unit)
            return Model(seconds, factors.W, factors.H)  # biases are columns

        learn(encoded.take(np.arange(100)), 2, 1, 0.1)  # compiles
        return fit

    return prepare


def ours_top_n(data: Data, threads: int) -> TopN:
    """nmf_scratch's top-N lists from given factors, seen items left out."""
    from nmf_scratch import Ratings
    from nmf_scratch.fitted.top_n import top_n

    n_users, n_items = map(int, data.shape)
    seen = Ratings.from_arrays(data.users, data.items, data.values, n_users=n_users, n_items=n_items).by_user
    W, H = random_factors(data)

    def lists(n: int) -> float:
        return timed(top_n, W, H, n, seen=seen, n_threads=threads)[0]

    return lists


def implicit_top_n(data: Data, threads: int) -> TopN:
    """Implicit's `recommend` from given factors, liked items left out."""
    from implicit.cpu.als import AlternatingLeastSquares
    from scipy.sparse import csr_matrix

    model = AlternatingLeastSquares(factors=TOP_N_RANK, num_threads=threads)
    model.user_factors, model.item_factors = random_factors(data)
    seen = csr_matrix((data.values, (data.users, data.items)), shape=tuple(data.shape), dtype=np.float32)
    everybody = np.arange(len(model.user_factors))

    def lists(n: int) -> float:
        return timed(model.recommend, everybody, seen, N=n, filter_already_liked_items=True)[0]

    return lists


TOP_N_RANK = 64


def random_factors(data: Data) -> list[np.ndarray]:
    """Draw the same factors for every library, shapes (n_users, 64) and (n_items, 64), float32."""
    rng = np.random.default_rng(0)
    return [rng.random((int(rows), TOP_N_RANK), dtype=np.float32) for rows in data.shape]


LIBRARIES: dict[str, tuple[Callable[[Data, int], Any], str]] = {
    "libmf": (libmf, "libmf"),
    "cornac-mf": (cornac_mf, "cornac"),
    "cornac-nmf": (cornac_nmf, "cornac"),
    "surprise-svd": (surprise_svd, "scikit-surprise"),
    "surprise-nmf": (surprise_nmf, "scikit-surprise"),
    "cmfrec": (cmfrec, "cmfrec"),
    "sklearn-nmf": (sklearn_nmf, "scikit-learn"),
    "implicit-top-n": (implicit_top_n, "implicit"),
    "top-n": (ours_top_n, "nmf-scratch"),
}
BIASES = "+biases"
for _name in ("sgd", "block-sgd", "mu", "cd", "als"):
    LIBRARIES[_name] = (ours(_name, biases=False), "nmf-scratch")
    LIBRARIES[_name + BIASES] = (ours(_name, biases=True), "nmf-scratch")


def memory(which: str) -> int:
    """Return the memory of this process in bytes: VmRSS, what it holds now, or VmHWM, the most since `forget_peak`.

    Where there is no /proc, both are the most it ever had. Linux would report that too, but hands it down from the
    process that started this one.
    """
    try:
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    except OSError:
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return most if sys.platform == "darwin" else most * 1024
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(which))


def forget_peak() -> None:
    """Let the high-water mark start anew, where the system can do that (Linux)."""
    try:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    except OSError:
        return


def answer(library: str, task: Any, data: Data, job: dict[str, Any]) -> dict[str, Any]:
    """Do one job."""
    if "n" in job:
        return {"seconds": task(job["n"])}
    forget_peak()
    before = memory("VmRSS")
    strength = job.get("strength", STRENGTHS.get(library, STRENGTHS.get(library.removesuffix(BIASES), 0.0)))
    model = task(job["rank"], job["epochs"], strength)
    return {"seconds": model.seconds, "peak": memory("VmHWM") - before, "rmse": model.rmse(data)}


def serve(library: str, path: str, threads: int, replies: Any) -> None:
    """Load everything, say so, and answer jobs until there are no more."""

    def reply(**message: Any) -> None:
        print(json.dumps(message), file=replies, flush=True)

    try:
        prepare, package = LIBRARIES[library]
        with np.load(path) as file:
            data = Data(*(file[name] for name in Data._fields))
        task = prepare(data, threads)
        reply(ready=f"{package} {version(package)}", numpy=np.__version__)
        for line in sys.stdin:
            reply(**answer(library, task, data, json.loads(line)))
    except Exception as error:
        traceback.print_exc()
        reply(error=f"{type(error).__name__}: {error}")


def main() -> None:
    """Keep standard output for replies: whatever a library prints goes to standard error."""
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    library, data, threads = sys.argv[1:]
    serve(library, data, int(threads), replies)


if __name__ == "__main__":
    main()
