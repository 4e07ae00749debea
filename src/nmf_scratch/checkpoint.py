"""Checkpoints: a training run that is interrupted goes on where it was, and ends with the same bits.

All that is random in an epoch is a function of (key, epoch), so a run is its factors, what its solver remembers, and
the history. A checkpoint holds these, as they were after an epoch: never those of half an epoch, whenever the process
was killed. What `start` of a solver computes from the data is not kept but computed again.

Nor are the data kept, but their hash: a run is only resumed with the same ratings, starting point and parameters,
since anything else would be a run that never was. (What changes no result may change: threads, callbacks, verbosity.)
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields, is_dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nmf_scratch._archive import Arrays, as_json, checksum, draft, load_arrays, save_arrays, storable, sweep
from nmf_scratch._check import InputError, check_number
from nmf_scratch._version import __version__
from nmf_scratch.data.ratings import Ratings
from nmf_scratch.history import Kept
from nmf_scratch.problem.factors import Factors
from nmf_scratch.solvers import Solver

KIND = "checkpoint"

PAUSE = 20
"""After a writing there is none for this many times as long as it took: checkpoints take 5 % of the time at most."""

UNFINISHED = ("interrupted", "callback")
"""Reasons to stop after which a run may go on; after any other it is complete."""

NO_MATTER = ("unit", "kkt", "callbacks")
"""Settings that change no bit of the factors."""

HASHED = ("training ratings", "validation ratings", "ids", "starting factors")
"""What is compared by its hash, which says nothing to people."""


@dataclass(frozen=True)
class Checkpoint:
    """Where a run is kept, and how often.

    Parameters
    ----------
    path : str or Path
        The file; its folder must exist.
    resume : bool
        Whether to go on from the file, if there is one. If not, there must be none: hours of training are not
        overwritten by accident.
    seconds : float
        Time between two writings at least; 0 writes after each epoch. Writings that take long are rarer.
    note : mapping
        Anything that JSON can hold, kept for the caller in the file.
    compared : mapping
        What else must be the same for a run to be resumed; JSON again.
    """

    path: str | Path
    resume: bool = False
    seconds: float = 5.0
    note: Mapping[str, Any] = field(default_factory=dict)
    compared: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_number("seconds", self.seconds, minimum=0.0)
        if not Path(self.path).parent.is_dir():
            raise InputError(f"checkpoint={str(self.path)!r} is in a folder that does not exist: make it first")
        if Path(self.path).exists() and not self.resume:
            raise InputError(
                f"checkpoint={str(self.path)!r} exists: pass resume to go on from it, or delete it to start anew"
            )
        probe = draft(Path(self.path))
        try:
            probe.touch()
            probe.unlink()
        except OSError as error:  # to be known before the work
            raise InputError(f"checkpoint={str(self.path)!r} cannot be written: {error.strerror}") from None

    @cached_property
    def saved(self) -> Saved | None:
        """What the file holds, None where there is no file."""
        return Saved(*load_arrays(self.path, kind=KIND)) if Path(self.path).exists() else None


class Saved(NamedTuple):
    """The content of a checkpoint.

    Attributes
    ----------
    arrays : dict of str to ndarray
        W, H, perhaps best_W and best_H, history, and what the solver remembers.
    header : dict
        problem, run (numbers of the training loop), state (numbers of the solver), stop_reason, note.
    """

    arrays: Arrays
    header: dict[str, Any]

    @property
    def key(self) -> int:
        """Key of the run's random draws."""
        return int(self.header["problem"]["random_state"])

    @property
    def epoch(self) -> int:
        """The last epoch that is kept."""
        return int(self.header["run"]["epoch"])

    @property
    def stop_reason(self) -> str | None:
        """Why the run ended; None if it may go on."""
        reason: str | None = self.header["stop_reason"]
        return reason

    def kept(self) -> Kept:
        """Return the run as the training loop keeps it."""
        arrays, parts = {}, dict[str, dict[str, Any]]()
        for full_name, array in self.arrays.items():
            if full_name.startswith("state."):
                _, name, position = full_name.split(".")
                parts.setdefault(name, {})[position] = array if array.ndim else array[()]
            else:
                arrays[full_name] = array
        state = dict(self.header["state"])
        for name, found in parts.items():
            state[name] = found[""] if "" in found else tuple(found[str(n)] for n in range(len(found)))
        return Kept(arrays, self.header["run"], state, self.stop_reason)


def checkpoint_of(given: str | Path | Checkpoint | None, resume: bool, *ids: NDArray[Any]) -> Checkpoint | None:
    """Return the checkpoint that a caller named, for data with these id maps.

    Raises
    ------
    InputError
        If there is nothing to resume from, or it must not be overwritten.
    """
    if given is None:
        if resume:
            raise InputError("resume=True needs a checkpoint to go on from: pass checkpoint='FILE' too")
        return None
    settings = given if isinstance(given, Checkpoint) else Checkpoint(given, resume)
    arrays = [storable(str(position), column) for position, column in enumerate(ids)]
    compared = {**settings.compared, "ids": [checksum(part) for part in arrays]}
    return replace(settings, resume=resume or settings.resume, compared=compared)


def problem_of(
    train: Ratings, valid: Ratings | None, factors: Factors, solver: Solver, key: int, settings: Iterable[Any]
) -> dict[str, Any]:
    """Return what a run depends on, as JSON can hold it; settings are dataclasses whose fields have telling names."""
    own = asdict(solver) if is_dataclass(solver) else vars(solver)
    problem: dict[str, Any] = {"solver": {"name": solver.name, **own}}
    for part in settings:
        problem |= {f.name: getattr(part, f.name) for f in fields(part) if f.name not in NO_MATTER}
    shape = {"n_components": factors.n_components, "biases": factors.biases, "dtype": str(factors.W.dtype)}
    problem |= {**shape, "random_state": key, "package version": __version__}
    for name, ratings in (("training ratings", train), ("validation ratings", valid)):
        problem[name] = None if ratings is None else checksum(_columns(ratings))
    return {**problem, "starting factors": checksum({"W": factors.W, "H": factors.H})}


def _columns(ratings: Ratings) -> Arrays:
    columns = {"users": ratings.users, "items": ratings.items, "values": ratings.values}
    return columns if ratings.weights is None else {**columns, "weights": ratings.weights}


class Keeper:
    """Keeps one run: in memory after every epoch, in the file now and then.

    Parameters
    ----------
    checkpoint : Checkpoint
        Where and how often.
    """

    def __init__(self, checkpoint: Checkpoint) -> None:
        self._checkpoint = checkpoint
        self._latest: Saved | None = None
        self._pending, self._next = False, 0.0

    def begin(self, *problem: Any) -> Kept | None:
        """Return the run that the file holds, None where there is no file; arguments as in `problem_of`.

        Raises
        ------
        InputError
            If the file holds a run of another problem, or no run.
        """
        self._problem = {**problem_of(*problem), **self._checkpoint.compared}
        saved, path = self._checkpoint.saved, Path(self._checkpoint.path)
        if saved is not None:
            self._compare(saved.header["problem"])
        sweep(path.parent, path.name)
        return saved and saved.kept()

    def _compare(self, before: dict[str, Any]) -> None:
        now = as_json(self._problem)[0]
        for name in {**before, **now}:
            if before.get(name) != now.get(name):
                how = f"other {name}" if name in HASHED else f"{name}={before.get(name)!r}, not {now.get(name)!r}"
                raise InputError(
                    f"cannot resume from {str(self._checkpoint.path)!r}: its run had {how}; "
                    "give what it was started with, or delete it to start anew"
                )

    def keep(self, run: Kept) -> None:
        """Keep the run as it is after an epoch: arrays of the state are copied."""
        numbers = {name: value for name, value in run.state.items() if type(value) in (bool, int, float)}
        arrays = dict(run.arrays)
        for name in run.state.keys() - numbers.keys():
            value = run.state[name]
            parts = {str(n): part for n, part in enumerate(value)} if isinstance(value, tuple) else {"": value}
            arrays |= {f"state.{name}.{position}": np.array(part) for position, part in parts.items()}
        header = {
            "package_version": __version__,
            "problem": self._problem,
            "run": run.numbers,
            "state": numbers,
            "stop_reason": None,
            "note": dict(self._checkpoint.note),
        }
        self._latest, self._pending = Saved(arrays, header), True
        if time.monotonic() >= self._next:
            self._write()

    def finish(self, reason: str, events: list[str]) -> None:
        """Write the last epoch that was kept, and why the run ended if it cannot go on."""
        if self._latest is None:
            return
        if reason not in UNFINISHED:
            self._latest.header["stop_reason"] = reason
            self._latest.header["run"]["events"] = list(events)
            self._pending = True
        if self._pending:
            self._write()

    def _write(self) -> None:
        assert self._latest is not None
        started = time.monotonic()
        save_arrays(self._checkpoint.path, *self._latest, kind=KIND)
        self._pending = False
        took = time.monotonic() - started
        pause = max(self._checkpoint.seconds, PAUSE * took) if self._checkpoint.seconds else 0.0
        self._next = started + took + pause
