"""Opening, decompressing and unpacking files, with every failure turned into one line that says what to do.

An archive from elsewhere is not trusted: `unzip` refuses members that would land outside the target folder, links,
encryption and absurd sizes, writes into a temporary folder beside the target, and renames it only when complete. A
half-unpacked folder is therefore never seen, whenever the process is interrupted.
"""

from __future__ import annotations

import bz2
import errno
import gzip
import io
import lzma
import re
import shutil
import stat
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any

from nmf_scratch._archive import draft, sweep
from nmf_scratch._check import InputError
from nmf_scratch._progress import ByteProgress

MAX_UNPACKED_BYTES = 8 * 2**30
"""The largest MovieLens archive unpacks to about 1.2 GB: more than this is an accident or an attack."""

MAX_GROWTH, SMALL_BYTES = 100, 64 * 2**20
"""Tables of ratings are packed to a tenth, seldom to less; what grows more, and beyond the size, is a bomb."""

MOST_MEMBERS, LONGEST_NAME = 10_000, 255
"""Files in an archive, and bytes in one of their names."""

_BUFFER_BYTES = 2**18
_OPENERS: dict[str, Callable[..., Any]] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}


def check_file(path: Path) -> None:
    """Refuse a path that is not a readable, non-empty file.

    Raises
    ------
    InputError
        Saying which of these it is not, and the remedy.
    """
    if path.is_dir():
        raise InputError(f"{path} is a directory; give the file of ratings inside it")
    if not path.exists():
        raise InputError(f"{path} does not exist; check the path")
    if path.is_file() and path.stat().st_size == 0:
        raise InputError(f"{path} is empty (0 bytes); give a file with at least one rating")


def check_growth(path: Path, n_unpacked: int, n_packed: int) -> None:
    """Refuse what unpacks to much more than a table of ratings would."""
    if n_unpacked > max(SMALL_BYTES, MAX_GROWTH * n_packed):
        raise InputError(
            f"{path} unpacks to more than {MAX_GROWTH} times its {n_packed:,} bytes, as no table of ratings does; "
            "refused (unpack it yourself if it is one)"
        )


class _Watched(io.FileIO):
    """A file that shows how much of it has been read, which for a compressed one is not what comes out."""

    def __init__(self, path: Path, show: ByteProgress) -> None:
        super().__init__(path)
        self._show, self._size = show, path.stat().st_size

    def readinto(self, buffer: Any) -> int | None:
        """Read the next bytes and show the position."""
        n_bytes = super().readinto(buffer)
        self._show(self.tell(), self._size)
        return n_bytes


class _Unpacked(io.RawIOBase):
    """What comes out of a compressed file, as long as it is not absurdly much."""

    def __init__(self, path: Path, stream: Any) -> None:
        self._path, self._stream, self._size, self._n = path, stream, path.stat().st_size, 0

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Unpack the next bytes."""
        n_bytes: int = self._stream.readinto(buffer)
        self._n += n_bytes
        check_growth(self._path, self._n, self._size)
        return n_bytes


@contextmanager
def reading(path: Path, encoding: str) -> Iterator[IO[bytes]]:
    """Open a file, decompressed where its suffix says so, for the block.

    Where that takes long a bar shows it; failures to read, decompress or decode end as `InputError`.
    """
    check_file(path)
    opener = _OPENERS.get(path.suffix.lower())
    try:
        with ExitStack() as stack:
            show = stack.enter_context(ByteProgress(f"reading {path.name}"))
            raw = io.BufferedReader(_Watched(path, show), _BUFFER_BYTES)
            handle: IO[bytes] = stack.enter_context(raw)
            if opener:
                unpacked = stack.enter_context(opener(handle, "rb"))
                handle = io.BufferedReader(_Unpacked(path, unpacked), _BUFFER_BYTES)
            yield handle
    except UnicodeDecodeError as error:
        byte = error.object[error.start]
        remedy = "pass encoding=..., as in encoding='latin-1' (option --encoding)"
        raise InputError(f"{path} is not {encoding} text (byte 0x{byte:02x}); {remedy}") from error
    except UnicodeError as error:  # UTF-16 without a mark, punycode
        why = " ".join(str(error).split())
        raise InputError(f"{path} is not {encoding} text ({why}); pass another encoding (option --encoding)") from error
    except LookupError as error:
        if "encoding" not in str(error):
            raise
        raise InputError(f"encoding={encoding!r} is unknown; use one such as 'utf-8' or 'latin-1'") from error
    except (EOFError, zlib.error, lzma.LZMAError, OSError) as error:
        raise InputError(f"{path} cannot be read ({error}); check the file, or fetch it again") from error


@contextmanager
def reading_lines(path: Path, encoding: str) -> Iterator[Iterator[str]]:
    """Open a file for the block as text lines with their ends; a byte order mark is dropped, errors as in `reading`."""
    unmarked = "utf-8-sig" if encoding.lower().replace("_", "-") in ("utf-8", "utf8") else encoding
    with reading(path, encoding) as handle, io.TextIOWrapper(handle, encoding=unmarked, newline="") as lines:
        yield iter(lines)


def unzip(archive: Path, target: Path) -> Path:
    """Unpack an archive into the folder `target`, all or nothing.

    An archive that holds one folder and nothing else (``ml-100k.zip`` holds ``ml-100k/``) becomes that folder.

    Raises
    ------
    InputError
        If the archive is damaged, encrypted, or holds members that no honest data set has.
    OSError
        If the folder that holds `target` cannot be written.
    """
    sweep(target.parent, target.name)
    scratch = draft(target)
    inside = scratch / "content"
    try:
        inside.mkdir(parents=True)
        _extract(archive, inside)
        entries = [entry for entry in inside.iterdir() if entry.name != "__MACOSX"]
        only_folder = len(entries) == 1 and entries[0].is_dir()
        if target.exists():
            shutil.rmtree(target)
        (entries[0] if only_folder else inside).rename(target)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return target


def _extract(archive: Path, folder: Path) -> None:
    try:
        with zipfile.ZipFile(archive) as content:
            members = content.infolist()
            for member in members:
                _check_member(archive, member)
            if len(members) > MOST_MEMBERS:
                raise InputError(f"{archive} holds {len(members):,} files, more than {MOST_MEMBERS:,}; refused")
            n_bytes = sum(member.file_size for member in members)
            if n_bytes > MAX_UNPACKED_BYTES:
                raise InputError(f"{archive} would unpack to more than {MAX_UNPACKED_BYTES:,} bytes; refused")
            check_growth(archive, n_bytes, archive.stat().st_size)
            content.extractall(folder)
    except (zipfile.BadZipFile, zlib.error, EOFError, LookupError, RuntimeError, UnicodeError) as error:
        raise InputError(f"{archive} is no complete zip archive ({error}); fetch it again") from error
    except OSError as error:
        if error.errno == errno.EINVAL:  # a place outside the file
            raise InputError(f"{archive} is no complete zip archive ({error}); fetch it again") from error
        raise OSError(error.errno, f"cannot unpack {archive}: {error.strerror}", error.filename) from error


def _check_member(archive: Path, member: zipfile.ZipInfo) -> None:
    name = member.filename
    if not name:
        raise InputError(f"{archive} holds a file without a name; refused")
    outside = name.startswith(("/", "\\")) or re.match(r"[A-Za-z]:", name) or ".." in re.split(r"[/\\]", name)
    if outside:
        raise InputError(f"{archive} holds {name!r}, which would land outside its folder; refused")
    if stat.S_ISLNK(member.external_attr >> 16):
        raise InputError(f"{archive} holds {name!r}, a link; refused")
    if max(len(part.encode()) for part in re.split(r"[/\\]", name)) > LONGEST_NAME:
        raise InputError(f"{archive} holds {name[:40]!r}…, a name that file systems cannot hold; refused")
    if member.flag_bits & 1:
        raise InputError(f"{archive} is encrypted; unpack it yourself and give the folder")
