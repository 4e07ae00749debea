"""Compiled kernels on the disk: one file each, named by what went into it, so that none is ever stale.

Numba's own cache goes by the file in which a kernel stands. A kernel calls those of other files, whose changes it does
not notice; and where no folder can be written, importing fails. Here the name of a file holds two hashes:

- of the *sources*: the kernel's module and, by its import statements, all of the package that it imports;
- of the *rest*: types of the arguments, processor, versions of Python and Numba, settings of the compiler.

What is named so cannot be out of date, writers of the same name write the same, and a change in one file compiles what
depends on it and nothing else. A file is replaced in one step and holds a hash of its content: a torn one is compiled
again. When a kernel is stored, files of its former sources are removed.

Places, the first in which there is something, or which can be written: `NUMBA_CACHE_DIR`; `__pycache__` of the package;
the user's cache; a private folder among the temporary files. Where there is none, kernels live as long as the process.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import pickle
import re
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numba
from numba.core.caching import _Cache as NumbaCache
from numba.core.compiler import CompileResult
from numba.core.serialize import dumps
from numba.misc.appdirs import AppDirs

PACKAGE = Path(__file__).parent
SUFFIX, DRAFT = ".kernel", ".partial"

_STARTED = time.time()
_IMPORT = re.compile(r"^[ \t]*(?:from[ \t]+([\w.]+)[ \t]+import[ \t]+(\([^)]*\)|.+)|import[ \t]+(.+))$", re.M)
_SETTINGS = ("BOUNDSCHECK", "DEBUGINFO_DEFAULT", "ENABLE_AVX", "LOOP_VECTORIZE", "OPT", "SLP_VECTORIZE")


class KernelCache(NumbaCache):
    """The files of one kernel, in the form in which Numba asks for them.

    Parameters
    ----------
    function : callable
        The kernel as it was written.
    kind : str, optional
        Tells apart what is compiled of one function in several ways.
    """

    def __init__(self, function: Callable[..., Any], kind: str = "") -> None:
        self._module, self._name = function.__module__, ".".join(filter(None, (function.__qualname__, kind)))
        self.enable()

    @property
    def cache_path(self) -> str:
        """Return where a new kernel would go, for Numba's statistics."""
        return str(next(iter(_folders()), ""))

    def enable(self) -> None:
        """Read and write files from now on."""
        self._enabled = True

    def disable(self) -> None:
        """Neither read nor write files from now on."""
        self._enabled = False

    def flush(self) -> None:
        """Remove the kernel's files."""
        for folder in _folders():
            self._sweep(folder, keep="")

    def load_overload(self, signature: Any, target_context: Any) -> Any:
        """Return the kernel compiled for these types, None if there is no sound file of it."""
        target_context.refresh()
        name = self._file(signature, target_context.codegen())
        for folder in _folders() if name else ():
            with contextlib.suppress(OSError):
                if content := _verified((folder / name).read_bytes()):
                    return CompileResult._rebuild(target_context, *pickle.loads(content))  # type: ignore[no-untyped-call]
        return None

    def save_overload(self, signature: Any, compiled: Any) -> None:
        """Store a compiled kernel in the first folder that takes it."""
        name = self._file(signature, compiled.codegen)
        if not name or compiled.lifted or compiled.library.has_dynamic_globals:
            return
        content = dumps(compiled._reduce())  # type: ignore[no-untyped-call]
        for folder in _folders():
            with contextlib.suppress(OSError):
                _write(folder, name, hashlib.sha256(content).digest() + content)
                self._sweep(folder, keep=f"-{sources_hash(self._module)}-")
                return

    def _file(self, signature: Any, codegen: Any) -> str:
        """Return the file's name; an empty one if the sources are not what was imported."""
        sources = sources_hash(self._module) if self._enabled else ""
        settings = [getattr(numba.config, name, None) for name in _SETTINGS]
        parts = (signature, codegen.magic_tuple(), numba.__version__, sys.implementation.cache_tag, settings)
        rest = hashlib.sha256("\n".join(map(str, parts)).encode()).hexdigest()[:24]
        return f"{self._module}.{self._name}-{sources}-{rest}{SUFFIX}" if sources else ""

    def _sweep(self, folder: Path, keep: str) -> None:
        """Remove the kernel's files but those that have a part of the name, and what killed writers left."""
        for path in folder.glob(f"{self._module}.{self._name}-*"):
            with contextlib.suppress(OSError):
                abandoned = path.suffix == DRAFT and path.stat().st_mtime < _STARTED - 600
                if abandoned or not keep or keep not in path.name:
                    path.unlink()


@cache
def sources_hash(module: str) -> str:
    """Return a hash of a module and of all of the package that it imports.

    Empty, so that nothing is kept, of a module that is not of the package, or if a file changed since it was imported.
    """
    digest, paths = hashlib.sha256(), sources_of(module)
    if not paths or any(path.stat().st_mtime > _STARTED for path in paths):
        return ""
    for path in paths:
        digest.update(path.relative_to(PACKAGE).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:16]


def sources_of(module: str) -> list[Path]:
    """Return the files of a module and of all of the package that it imports, directly or not, in a fixed order."""
    found: set[Path] = set()
    waiting = _files_of(module)
    while waiting:
        path = waiting.pop()
        if path not in found:
            found.add(path)
            waiting += [other for name in _imports_of(path) for other in _files_of(name)]
    return sorted(found)


def _imports_of(path: Path) -> Iterator[str]:
    """Yield the dotted names of whatever a file imports, also of what might be a module within a package."""
    for source, names, plain in _IMPORT.findall(path.read_text(encoding="utf-8")):
        yield from [source] if source else []
        for name in re.findall(r"[\w.]+", names or plain):
            yield f"{source}.{name}" if source else name


def _files_of(module: str) -> list[Path]:
    """Return the file of a module of the package; a package's own `__init__` only names, it has no kernels."""
    root, *parts = module.split(".")
    path = PACKAGE.joinpath(*parts).with_suffix(".py")
    return [path] if root == PACKAGE.name and parts and path.is_file() else []


def _folders() -> Iterator[Path]:
    """Yield where kernels may be, in the order in which they are looked for."""
    ours = f"{PACKAGE.name}-{hashlib.sha256(str(PACKAGE).encode()).hexdigest()[:12]}"
    if chosen := getattr(numba.config, "CACHE_DIR", ""):
        yield Path(chosen, ours)
        return
    yield PACKAGE / "__pycache__"
    yield Path(AppDirs(appname=PACKAGE.name, appauthor=False).user_cache_dir, ours)  # type: ignore[no-untyped-call]
    private = Path(tempfile.gettempdir(), f"{PACKAGE.name}-{os.getuid() if hasattr(os, 'getuid') else ''}")
    if _is_private(private):
        yield private / ours


def _is_private(folder: Path) -> bool:
    """Make a folder for this user alone; refuse one that somebody else made or may write to: kernels are programs."""
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
    except OSError:
        return False
    return not hasattr(os, "getuid") or (found.st_uid == os.getuid() and not found.st_mode & 0o077)


def _verified(stored: bytes) -> bytes:
    """Return the content of a file; nothing if it is not what was written."""
    content = stored[32:]
    return content if hashlib.sha256(content).digest() == stored[:32] else b""


def _write(folder: Path, name: str, content: bytes) -> None:
    """Replace a file in one step."""
    folder.mkdir(parents=True, exist_ok=True)
    draft = folder / f"{name}.{uuid.uuid4().hex[:12]}{DRAFT}"
    try:
        with draft.open("xb") as file:
            file.write(content)
        draft.replace(folder / name)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
