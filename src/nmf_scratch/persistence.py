"""Model files: one uncompressed .npz with a JSON header; no pickle on either path.

A pickle runs code when it is opened, so a model file from somebody else would be a program. This format holds numbers
and text only:

    header    UTF-8 JSON as bytes: format, format_version, checksum, and what the caller passed
    <name>    one NumPy array each, without Python objects

It is written to a temporary file beside the target and moved into place in one step: a crash or Ctrl-C leaves the old
file as it was. The checksum (SHA-256 over all arrays) tells a damaged file from a good one before anything is used.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nmf_scratch._check import InputError

FORMAT, FORMAT_VERSION = "nmf-scratch model", 1

Arrays = dict[str, NDArray[Any]]


def save_arrays(path: str | Path, arrays: Mapping[str, NDArray[Any]], header: Mapping[str, Any]) -> None:
    """Write arrays and a JSON header to one file, atomically.

    Parameters
    ----------
    path : str or Path
        Target; its folder must exist. An existing file is replaced in one step.
    arrays : mapping of str to ndarray
        Arrays without Python objects; text ids are stored as fixed-width text (see `storable`).
    header : mapping
        Anything that JSON can hold.
    """
    path = Path(path)
    full = {"format": FORMAT, "format_version": FORMAT_VERSION, "checksum": checksum(arrays), **header}
    text = np.frombuffer(json.dumps(full, ensure_ascii=False).encode(), dtype=np.uint8)
    if not path.parent.is_dir():
        raise InputError(f"cannot save to {str(path)!r}: there is no folder {str(path.parent)!r}")
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
        try:
            np.savez(file, header=text, **arrays)  # type: ignore[arg-type]
        except BaseException:
            Path(file.name).unlink()
            raise
    Path(file.name).chmod(0o666 & ~_umask())
    Path(file.name).replace(path)


def load_arrays(path: str | Path) -> tuple[Arrays, dict[str, Any]]:
    """Read what `save_arrays` wrote.

    Returns
    -------
    arrays : dict of str to ndarray
    header : dict

    Raises
    ------
    InputError
        If the file is missing, is no model, is damaged, or was written by a newer version.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"there is no model file {str(path)!r}: train one first (nmf-scratch train)")
    try:
        with zipfile.ZipFile(path) as archive:
            arrays = {name.removesuffix(".npy"): _read_member(archive, name) for name in archive.namelist()}
        header = json.loads(arrays.pop("header").tobytes().decode())
    except (ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(f"{str(path)!r} is not a model file of nmf-scratch, or is damaged ({error})") from None
    _check_header(path, header, arrays)
    return arrays, header


def _read_member(archive: zipfile.ZipFile, name: str) -> NDArray[Any]:
    with archive.open(name) as member:
        return np.lib.format.read_array(member, allow_pickle=False)


def _check_header(path: Path, header: Any, arrays: Arrays) -> None:
    if not isinstance(header, dict) or header.get("format") != FORMAT:
        raise InputError(f"{str(path)!r} is not a model file of nmf-scratch")
    if header["format_version"] > FORMAT_VERSION:
        raise InputError(
            f"{str(path)!r} has format version {header['format_version']}, this package reads up to "
            f"{FORMAT_VERSION}: upgrade nmf-scratch"
        )
    if header["checksum"] != checksum(arrays):
        raise InputError(f"{str(path)!r} is damaged: its checksum does not match; train or copy it again")


def checksum(arrays: Mapping[str, NDArray[Any]]) -> str:
    """Return the SHA-256 of names, types, shapes and bytes of all arrays, as hexadecimal text."""
    digest = hashlib.sha256()
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        digest.update(f"{name} {array.dtype.str} {array.shape}".encode())
        digest.update(array.data if array.dtype.kind in "biuf" else array.tobytes())
    return digest.hexdigest()


def storable(ids: NDArray[Any]) -> NDArray[Any]:
    """Return ids in a dtype that a file without pickle can hold; object columns of text become fixed-width text."""
    if ids.dtype != object:
        return ids
    if all(isinstance(label, str) for label in ids):
        return ids.astype(np.str_)
    kinds = sorted({type(label).__name__ for label in ids})
    raise InputError(f"ids of type {', '.join(kinds)} cannot be saved: convert them to text or integers first")


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
