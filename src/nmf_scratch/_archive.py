"""Files of arrays: one uncompressed .npz with a JSON header; checked to the last byte, no pickle on either path.

A pickle runs code when it is opened, so a model file from somebody else would be a program. This format holds numbers
and text only:

    header    UTF-8 JSON as bytes: format, format_version, the SHA-256 of each array, and what the caller passed
    <name>    one NumPy array each, without Python objects
    comment   of the zip archive, the last bytes of the file: SHA-256 of the *frame*

The frame is every byte that is not the content of an array: the header, names, types, shapes, padding, the directory.
So one hash vouches for the header, the header for the arrays, and a changed byte anywhere in the file is noticed. A
hash is no signature: it tells a damaged file from a good one, not a friend from a stranger, and needs not: whatever a
file says, reading it runs no code.

Members are stored uncompressed, and padded so that arrays begin at multiples of 64 bytes (zip allows it: the `extra`
field, as Android's zipalign uses it). So large arrays can be mapped into memory where they lie instead of being read.
NumPy's `mmap_mode` does not do that for .npz. A mapped array is not hashed, which would read it; the frame is, and all
other arrays are.

A file is written beside its target and moved into place in one step: a crash or Ctrl-C leaves the old one as it was.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
import os
import struct
import tempfile
import zipfile
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nmf_scratch._check import InputError

FORMAT, FORMAT_VERSION = "nmf-scratch", 2

Arrays = dict[str, NDArray[Any]]

ALIGNMENT = 64
"""Arrays begin at a multiple of so many bytes: a cache line, and what the widest SIMD registers ask for."""

HEX_DIGITS = 64
"""Length of a SHA-256 in hexadecimal."""

PLAIN_KINDS = "biufUSmM"
"""Kinds of arrays that files hold: numbers, text, bytes, dates. Above all no objects."""

_LOCAL_HEADER, _ZIP64_FIELD, _FIELD_HEAD, _PADDING_ID = 30, 20, 4, 0xD935


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
    plain = {name: np.asarray(array, order="C") for name, array in arrays.items()}
    full = {
        "format": f"{FORMAT} {kind}",
        "format_version": FORMAT_VERSION,
        **header,
        "arrays": {name: digest(array) for name, array in plain.items()},
    }
    text = np.frombuffer(as_json(full)[1].encode(), dtype=np.uint8)
    with replacing(path) as file:
        _write_members(file, {"header": text, **plain})
        file.flush()
        whole = _map(file)
        seal = _frame_digest(whole, _members(file, whole)).encode()
        del whole
        file.seek(-HEX_DIGITS, os.SEEK_END)
        file.write(seal)


def as_json(content: Any) -> tuple[Any, str]:
    """Return content as JSON gives it back, tuples as lists and NumPy's numbers as Python's, and the text."""
    text = json.dumps(content, default=lambda number: number.item())
    return json.loads(text), text


def _write_members(file: IO[bytes], arrays: Arrays) -> None:
    """Write the archive, with room for a hash in its comment."""
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for name, array in arrays.items():
            member = zipfile.ZipInfo(f"{name}.npy")  # dated 1980: the same content gives the same bytes
            begin = file.tell() + _LOCAL_HEADER + len(member.filename) + _ZIP64_FIELD + _FIELD_HEAD
            padding = -begin % ALIGNMENT  # NumPy rounds its own header up to a multiple of 64
            member.extra = struct.pack("<HH", _PADDING_ID, padding) + bytes(padding)
            with archive.open(member, "w", force_zip64=True) as stream:
                np.lib.format.write_array(stream, array, version=(1, 0), allow_pickle=False)
        archive.comment = b"-" * HEX_DIGITS


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
    """
    path = Path(path)
    if not path.parent.is_dir():
        raise InputError(f"cannot save to {str(path)!r}: there is no folder {str(path.parent)!r}")
    handle = tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", suffix=".partial", delete=False)  # noqa: SIM115
    try:
        with handle as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        Path(handle.name).chmod(0o666 & ~_umask())
        Path(handle.name).replace(path)
    except BaseException:
        Path(handle.name).unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    """Bring a new name to the disk, where the system can open folders."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


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
        verified, their content is not. (Files of version 1 are read as a whole.)

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
    with path.open("rb") as file:  # once only: a training run may replace it at any time
        try:
            header = _read_header(file)
            _check_kind(path, header, kind)
            return (_load_version_1(file) if header["format_version"] == 1 else _load(file, header, mapped)), header
        except InputError:
            raise
        except Exception as error:  # what a damaged file can raise in zipfile, NumPy and json is beyond foreseeing
            raise InputError(f"{str(path)!r} is not a {kind} file of {FORMAT}, or is damaged ({error})") from None


def _read_header(file: IO[bytes]) -> dict[str, Any]:
    with zipfile.ZipFile(file) as archive:
        header = json.loads(_read_member(archive, "header.npy").tobytes())
    return header if isinstance(header, dict) else {}


def _read_member(archive: zipfile.ZipFile, name: str) -> NDArray[Any]:
    with archive.open(name) as member:
        return np.lib.format.read_array(member, allow_pickle=False)


def _check_kind(path: Path, header: dict[str, Any], kind: str) -> None:
    found = str(header.get("format"))
    if found != f"{FORMAT} {kind}":
        what = f": it is a {found.removeprefix(FORMAT + ' ')}" if found.startswith(FORMAT) else ""
        raise InputError(f"{str(path)!r} is not a {kind} file of {FORMAT}{what}")
    if header["format_version"] > FORMAT_VERSION:
        raise InputError(
            f"{str(path)!r} has format version {header['format_version']}, this package reads up to "
            f"{FORMAT_VERSION}: upgrade {FORMAT}"
        )


class _Member(NamedTuple):
    """Where the content of an array lies in the file, and what it is."""

    start: int
    stop: int
    dtype: np.dtype[Any]
    shape: tuple[int, ...]


def _map(file: IO[bytes]) -> NDArray[np.uint8]:
    return np.memmap(file, dtype=np.uint8, mode="r")


def _load(file: IO[bytes], header: dict[str, Any], mapped: Collection[str]) -> Arrays:
    whole = _map(file)
    members = _members(file, whole)
    if whole[-HEX_DIGITS:].tobytes() != _frame_digest(whole, members).encode():
        raise ValueError("its checksum does not match")
    if members.keys() != header["arrays"].keys():
        raise ValueError("arrays are missing, or there are others")
    arrays = {}
    for name, (start, stop, dtype, shape) in members.items():
        is_mapped = name in mapped
        file.seek(start)
        content = whole[start:stop] if is_mapped else np.fromfile(file, np.uint8, stop - start)
        if not is_mapped and digest(content) != header["arrays"][name]:
            raise ValueError(f"the checksum of {name} does not match")
        arrays[name] = np.asarray(content).view(dtype).reshape(shape)
    return arrays


def _members(file: IO[bytes], whole: NDArray[np.uint8]) -> dict[str, _Member]:
    """Find all arrays but the header in the archive."""
    with zipfile.ZipFile(file) as archive:
        found = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
    return {name: _member(whole, info) for name, info in found.items() if name != "header"}


def _member(whole: NDArray[np.uint8], info: zipfile.ZipInfo) -> _Member:
    """Read where an array begins: after the local header of the zip member, and NumPy's own."""
    lengths = struct.unpack_from("<HH", whole[info.header_offset :][:_LOCAL_HEADER].tobytes(), _LOCAL_HEADER - 4)
    first = info.header_offset + _LOCAL_HEADER + sum(lengths)
    stream = io.BytesIO(whole[first : first + 2**16].tobytes())
    if np.lib.format.read_magic(stream) != (1, 0):
        raise ValueError(f"{info.filename} has another format")
    shape, fortran_order, dtype = np.lib.format.read_array_header_1_0(stream)
    start, stop = first + stream.tell(), first + info.file_size
    if dtype.kind not in PLAIN_KINDS or fortran_order or info.compress_type != zipfile.ZIP_STORED:
        raise ValueError(f"{info.filename} is no plain array of {dtype}")
    if math.prod(shape) * dtype.itemsize != stop - start or stop > len(whole):
        raise ValueError(f"{info.filename} has another size than its shape {shape}")
    return _Member(start, stop, dtype, shape)


def _frame_digest(whole: NDArray[np.uint8], members: Mapping[str, _Member]) -> str:
    """Return the SHA-256 of all bytes but the contents of the arrays and the hash itself."""
    frame, position = hashlib.sha256(), 0
    for start, stop, *_ in sorted(members.values(), key=lambda member: member[:2]):
        if start < position:
            raise ValueError("two arrays overlap")
        frame.update(whole[position:start].data)
        position = stop
    frame.update(whole[position:-HEX_DIGITS].data)
    return frame.hexdigest()


def digest(array: NDArray[Any]) -> str:
    """Return the SHA-256 of an array's bytes, as hexadecimal text."""
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


def _load_version_1(file: IO[bytes]) -> Arrays:
    """Read the first format: one `checksum` over all arrays in the header, which nothing vouches for."""
    with zipfile.ZipFile(file) as archive:
        arrays = {name.removesuffix(".npy"): _read_member(archive, name) for name in archive.namelist()}
    header = json.loads(arrays.pop("header").tobytes())
    if header["checksum"] != checksum(arrays):
        raise ValueError("its checksum does not match")
    return arrays


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
