"""Checks of what a caller passes in, with messages that name the argument, its value and the remedy.

Every mistake that a user can make ends in an `InputError`. It is a `ValueError`, so library code can catch it as
usual; the command line prints its one line and leaves with exit code 2 instead of a traceback.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from numbers import Integral, Real

import numpy as np


class InputError(ValueError):
    """A mistake in the caller's input; the message names the argument, its value and the remedy."""


class NotFittedError(InputError, AttributeError):
    """Something was asked of a model before `fit`.

    Both a ValueError and an AttributeError, like scikit-learn's: ``hasattr(model, "W_")`` is false until then.
    """


def shown(value: object) -> str:
    """Show a value in a message: 5 rather than np.int64(5)."""
    return repr(value.item() if isinstance(value, np.generic) else value)


def check_number(
    name: str,
    value: object,
    *,
    minimum: float = -np.inf,
    maximum: float = np.inf,
    exclusive: bool = False,
    integer: bool = False,
) -> None:
    """Refuse a value that is not a finite number (an integer where asked) between the bounds.

    Parameters
    ----------
    name : str
        The argument's name, as the caller knows it.
    value : object
        What was passed.
    minimum, maximum : float
        Bounds, included unless `exclusive` (which concerns the minimum only).
    exclusive : bool
        Whether `minimum` itself is refused.
    integer : bool
        Whether only whole numbers are accepted.

    Raises
    ------
    InputError
        If the value is of another type, not finite, or out of bounds.
    """
    kind = Integral if integer else Real
    is_number = isinstance(value, kind) and not isinstance(value, (bool, np.bool_))
    above = is_number and (value > minimum if exclusive else value >= minimum)  # type: ignore[operator]
    if not (above and value <= maximum and abs(value) != np.inf):  # type: ignore[operator, arg-type]
        what = "an integer" if integer else "a finite number"
        raise InputError(f"{name} must be {what}{_bounds(minimum, maximum, exclusive)}, got {shown(value)}")


def _bounds(minimum: float, maximum: float, exclusive: bool) -> str:
    above = f" {'>' if exclusive else '>='} {minimum:g}" if minimum > -np.inf else ""
    below = f"{' and' if above else ''} <= {maximum:g}" if maximum < np.inf else ""
    return above + below


def check_choice(name: str, value: object, choices: Iterable[str]) -> None:
    """Refuse a value that is not one of the choices; suggest the nearest one.

    Raises
    ------
    InputError
        Naming the argument, its value and every choice.
    """
    known = sorted(choices)
    if isinstance(value, str) and value in known:
        return
    near = difflib.get_close_matches(str(value), known, n=1)
    hint = f" (did you mean {near[0]!r}?)" if near else ""
    raise InputError(f"{name}={value!r} is unknown{hint}; choose one of: {', '.join(known)}")
