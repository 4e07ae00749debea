"""Files of arrays: a JSON header and NumPy's numbers in one safetensors file, checked, mappable, and no program.

A pickle runs code when it is opened, so a model file from somebody else would be a program. A safetensors file holds
numbers only, its parser is made for files that nobody vouches for, and other languages read it:

    8 bytes      length of what follows
    JSON         type, shape and place of each array; `__metadata__`, a mapping of text to text
    numbers      one array after the other

Writing takes the ten lines of `_write`: the library orders metadata differently each time, and saves wrong values of
arrays that are not contiguous. Reading is the library's. What it does not do is kept in the text under the name of
the package, JSON again:

    content      format, format_version, what the caller passed, the SHA-256 of each array, and the NumPy type of those
                 that safetensors has none for (text, dates), which are kept as their bytes
    seal         SHA-256 of the content and of the places of the arrays

So the seal vouches for the header, the header for the arrays. A hash is no signature: it tells a damaged file from a
good one, not who wrote it. Large arrays can be mapped into memory where they lie; a mapped array is not
hashed, which would read it, the header and all other arrays are.

A file is written beside its target and moved into place in one step: a crash or Ctrl-C leaves the old one as it was.
"""

from __future__ import annotations

import glob
import hashlib
import json
import os
import re
import secrets
import shutil
import socket
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray
from safetensors import safe_open

from nmf_scratch._check import InputError

FORMAT, FORMAT_VERSION = "nmf-scratch", 1

Arrays = dict[str, NDArray[Any]]

LONGEST_HEADER = 2**26
"""Bytes of JSON in front of the numbers; parsed, they take ten times as much."""

ABANDONED = 24 * 3600
"""Seconds after which an unfinished file is litter, where there is no telling whether its process is alive."""

ALIGNMENT = 64
"""The numbers begin at a multiple of so many bytes, the widest ones first: all can be used where they lie."""

NATIVE = {
    "b1": "BOOL", "i1": "I8", "i2": "I16", "i4": "I32", "i8": "I64", "u1": "U8", "u2": "U16", "u4": "U32", "u8": "U64",
    "f2": "F16", "f4": "F32", "f8": "F64",
}  # fmt: skip
"""Types of NumPy, without their byte order, that safetensors has."""

NUMPY = {name: np.dtype(dtype) for dtype, name in NATIVE.items()}

AS_BYTES = "USmMf"
"""Kinds of other arrays, whose bytes are kept: text, bytes, dates, wide floats. Above all no objects."""


def save_arrays(
    path: str | Path, arrays: Mapping[str, NDArray[Any]], header: Mapping[str, Any], *, kind: str = "model"
) -> None:
    """Write arrays and a JSON header to one file, atomically.

    Parameters
    ----------
    path : str or Path
        Target; its folder must exist. An existing file is replaced in one step.
    arrays : mapping of str to ndarray
        Arrays without Python objects.
    header : mapping
        Anything that JSON can hold.
    kind : str
        What the file is: `load_arrays` refuses another kind.
    """
    plain, types = {}, {}
    for name, array in arrays.items():
        array = np.asarray(array, dtype=array.dtype.newbyteorder("="), order="C")
        if array.dtype.str[1:] not in NATIVE:
            if array.dtype.kind not in AS_BYTES:
                raise InputError(f"{name} of type {array.dtype} cannot be saved: convert it to numbers or text")
            types[name] = array.dtype.str, array.shape
            array = np.frombuffer(_bytes_of(array), np.uint8)
        plain[name] = array
    content = {
        "format": f"{FORMAT} {kind}",
        "format_version": FORMAT_VERSION,
        **header,
        "arrays": {name: _sha256(array) for name, array in plain.items()},
        "types": types,
    }
    with replacing(path) as file:
        _write(file, plain, as_json(content)[0])


def _write(file: IO[bytes], arrays: Arrays, content: dict[str, Any]) -> None:
    order = sorted(arrays, key=lambda name: (-arrays[name].itemsize, name))
    places, end = {}, 0
    for name in order:
        start, end = end, end + arrays[name].nbytes
        dtype = NATIVE[arrays[name].dtype.str[1:]]
        places[name] = {"dtype": dtype, "shape": list(arrays[name].shape), "data_offsets": [start, end]}
    text = json.dumps({"content": content, "seal": _seal(content, places)})
    head = json.dumps({"__metadata__": {FORMAT: text}, **places}).encode()
    head += b" " * (-(len(head) + 8) % ALIGNMENT)
    file.write(len(head).to_bytes(8, "little") + head)
    for name in order:
        file.write(_bytes_of(arrays[name]))


def _seal(content: dict[str, Any], places: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps([content, places], sort_keys=True).encode()).hexdigest()


def as_json(content: Any) -> tuple[Any, str]:
    """Return content as JSON gives it back, tuples as lists and NumPy's numbers as Python's, and the text."""
    text = json.dumps(content, default=lambda number: number.item())
    return json.loads(text), text


@contextmanager
def replacing(path: str | Path) -> Iterator[IO[bytes]]:
    """Write a file beside `path`; move it there in one step when the block succeeds, and leave nothing when it fails.

    Parameters
    ----------
    path : str or Path
        Target; its folder must exist.

    Yields
    ------
    file
        Open for writing bytes. What is in it is on the disk before it gets its name.

    Raises
    ------
    OSError
        If the disk is full, say: of a failed write systems do not tell which file it was, so `path` is added.
    """
    path = Path(path)
    if not path.parent.is_dir():
        raise InputError(f"cannot save to {str(path)!r}: there is no folder {str(path.parent)!r}")
    sweep(path.parent, path.name)
    partial = draft(path)
    try:
        with partial.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except BaseException as error:
        partial.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.errno and not error.filename:
            raise OSError(error.errno, error.strerror, str(path)) from error
        raise
    _sync_folder(path.parent)


def write_file(path: str | Path, content: str | bytes) -> None:
    """Write a whole file in one step, text as UTF-8; see `replacing`."""
    with replacing(path) as file:
        file.write(content.encode() if isinstance(content, str) else content)


def draft(path: Path) -> Path:
    """Return a hidden name beside `path` for what is not complete yet; it tells which process is at work on it."""
    return path.with_name(f".{path.name}.{_host()}.{os.getpid()}.{secrets.token_hex(4)}.partial")


def sweep(folder: Path, name: str = "") -> None:
    """Remove drafts, of one name or of any, that killed processes have left in a folder."""
    for litter in folder.glob(f".{glob.escape(name) or '*'}.*.partial"):
        if _is_abandoned(litter):
            is_folder = litter.is_dir() and not litter.is_symlink()
            shutil.rmtree(litter, ignore_errors=True) if is_folder else litter.unlink(missing_ok=True)


def _is_abandoned(litter: Path) -> bool:
    """Tell whether the process that made a draft is gone; of another machine or system only time tells."""
    own = re.search(rf"\.{re.escape(_host())}\.(\d+)\.[0-9a-f]{{8}}\.partial$", litter.name)
    with suppress(OSError):
        if own is None or os.name != "posix":
            return time.time() - litter.stat().st_mtime > ABANDONED
        try:
            os.kill(int(own[1]), 0)
        except (ProcessLookupError, OverflowError):
            return True
    return False


def _host() -> str:
    return re.sub(r"[^\w-]", "-", socket.gethostname())[:20]


def _sync_folder(folder: Path) -> None:
    """Bring a new name to the disk, where the system can open folders."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def load_arrays(
    path: str | Path, *, kind: str = "model", mapped: Collection[str] = ()
) -> tuple[Arrays, dict[str, Any]]:
    """Read what `save_arrays` wrote.

    Parameters
    ----------
    path : str or Path
    kind : str
        As it was saved.
    mapped : collection of str
        Arrays to map into memory, read-only, instead of reading them. Their names, types, shapes and places are
        verified, their content is not.

    Returns
    -------
    arrays : dict of str to ndarray
    header : dict

    Raises
    ------
    InputError
        If the file is missing, is of no or another kind, is damaged, or was written by a newer version.
    """
    path = Path(path)
    if not path.is_file():
        remedy = "train one first (nmf-scratch train)" if kind == "model" else "check its name"
        raise InputError(f"there is no {kind} file {str(path)!r}: {remedy}")
    try:
        return _load(path, kind, mapped)
    except (InputError, MemoryError):
        raise
    except Exception as error:  # what a damaged file can raise in three parsers is beyond foreseeing
        raise InputError(f"{str(path)!r} is not a {kind} file of {FORMAT}, or is damaged ({error})") from None


def _load(path: Path, kind: str, mapped: Collection[str], *, again: bool = True) -> tuple[Arrays, dict[str, Any]]:
    with path.open("rb") as file, safe_open(path, framework="numpy") as tensors:  # which refuses an unsound file
        length = int.from_bytes(file.read(8), "little")
        if length > LONGEST_HEADER:
            raise ValueError(f"its header has {length:,} bytes")
        places = json.loads(file.read(length))
        metadata = places.pop("__metadata__", {})
        if metadata != tensors.metadata():
            if not again:
                raise ValueError("its metadata are ambiguous")
            return _load(path, kind, mapped, again=False)  # a training run has just replaced the file
        sealed = json.loads(metadata.get(FORMAT, "{}"))
        content = sealed.get("content", {})
        _check_kind(path, content, kind)
        if sealed["seal"] != _seal(content, places) or content["arrays"].keys() != places.keys():
            raise ValueError("the checksum of its header does not match")
        arrays, numbers = {}, np.memmap(file, np.uint8, "r")[8 + length :]
        for name, place in places.items():
            if name in mapped:
                own = numbers[slice(*place["data_offsets"])]
                arrays[name] = own.view(NUMPY[place["dtype"]]).reshape(place["shape"])
            else:
                arrays[name] = tensors.get_tensor(name)
                if _sha256(arrays[name]) != content["arrays"][name]:
                    raise ValueError(f"the checksum of {name} does not match")
    return {name: _typed(array, content["types"].get(name)) for name, array in arrays.items()}, content


def _typed(array: NDArray[Any], kept: Any) -> NDArray[Any]:
    """Give an array that was kept as its bytes its type back."""
    if kept is None:
        return np.asarray(array)
    dtype = np.dtype(kept[0])
    if dtype.kind not in AS_BYTES:
        raise ValueError(f"{dtype} is no type of plain numbers or text")
    typed: NDArray[Any] = np.asarray(array).view(dtype).reshape(kept[1])
    return typed


def _check_kind(path: Path, content: dict[str, Any], kind: str) -> None:
    found = str(content.get("format"))
    if found != f"{FORMAT} {kind}":
        what = f": it is a {found.removeprefix(FORMAT + ' ')}" if found.startswith(FORMAT) else ""
        raise InputError(f"{str(path)!r} is not a {kind} file of {FORMAT}{what}")
    if content["format_version"] > FORMAT_VERSION:
        raise InputError(
            f"{str(path)!r} has format version {content['format_version']}, this package reads up to "
            f"{FORMAT_VERSION}: upgrade {FORMAT}"
        )


def _sha256(array: NDArray[Any]) -> str:
    return hashlib.sha256(_bytes_of(array)).hexdigest()


def checksum(arrays: Mapping[str, NDArray[Any]]) -> str:
    """Return the SHA-256 of names, types, shapes and bytes of all arrays, as hexadecimal text."""
    total = hashlib.sha256()
    for name in sorted(arrays):
        array = arrays[name]
        total.update(f"{name} {array.dtype.str} {array.shape}".encode())
        total.update(_bytes_of(array))
    return total.hexdigest()


def _bytes_of(array: NDArray[Any]) -> memoryview:
    return np.asarray(array, order="C").reshape(-1).view(np.uint8).data


def storable(name: str, ids: NDArray[Any]) -> Arrays:
    """Return ids as arrays without objects, under the given name; object columns become JSON as UTF-8 bytes.

    Raises
    ------
    InputError
        If an object is neither text nor a number nor a truth value.
    """
    if ids.dtype != object:
        return {name: ids}
    labels = [label.item() if isinstance(label, np.generic) else label for label in ids]
    strange = sorted({type(label).__name__ for label in labels if type(label) not in (str, int, float, bool)})
    if strange:
        raise InputError(f"ids of type {', '.join(strange)} cannot be saved: convert them to text or integers first")
    return {f"{name}_json": np.frombuffer(json.dumps(labels).encode(), dtype=np.uint8)}


def restored(name: str, arrays: Mapping[str, NDArray[Any]]) -> NDArray[Any]:
    """Return what `storable` took."""
    if name in arrays:
        return arrays[name]
    labels = json.loads(arrays[f"{name}_json"].tobytes())
    ids = np.empty(len(labels), dtype=object)
    ids[:] = labels
    return ids
