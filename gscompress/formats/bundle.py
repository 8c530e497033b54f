"""Named parts of a scene that lie in a zip file or in a folder, read with a size limit each."""

from __future__ import annotations

import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Protocol

from gscompress.errors import UnreadableError

ZIP = b"PK\x03\x04"
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_DAMAGE = (zipfile.BadZipFile, zlib.error, struct.error, EOFError, RuntimeError, ValueError, OSError, LookupError)


class Bundle(Protocol):
    """``read`` returns the bytes of one part and raises UnreadableError when it is missing, damaged or too long."""

    def read(self, name: str, limit: int) -> bytes: ...


def is_plain(name: str) -> bool:
    """Whether a name from a file is short and printable enough for file systems and error messages."""
    return 0 < len(name) <= 200 and name.isprintable()


class FolderBundle:
    """The files of a folder; names that lead out of it are refused."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def read(self, name: str, limit: int) -> bytes:
        parts = PurePosixPath(name).parts
        if not parts or ".." in parts or PurePosixPath(name).is_absolute() or not is_plain(name):
            raise UnreadableError(f"{self._folder}: {name!r:.40} is no file name inside the folder")
        path = self._folder.joinpath(*parts)
        try:
            size = path.stat().st_size
            if size > limit:
                raise UnreadableError(f"{path}: {size:,} bytes where at most {limit:,} make sense")
            return path.read_bytes()
        except OSError as error:
            raise UnreadableError(f"{path}: cannot be read: {error.strerror}") from None


class ZipBundle:
    """The members of a zip file, next to the one called ``anchor`` (archives are often packed with their folder)."""

    def __init__(self, path: Path, archive: zipfile.ZipFile, anchor: str) -> None:
        self._path, self._archive = path, archive
        found = [name for name in archive.namelist() if PurePosixPath(name).name == anchor]
        if not found:
            raise UnreadableError(f"{path}: the zip file has no {anchor}")
        self._prefix = min(found, key=len)[: -len(anchor)]

    def read(self, name: str, limit: int) -> bytes:
        try:
            info = self._archive.getinfo(self._prefix + name)
            if info.compress_type not in _METHODS or info.flag_bits & 1:
                raise UnreadableError(f"{self._path}: {name} is encrypted or packed with an unusual method")
            if info.file_size > limit:
                raise UnreadableError(
                    f"{self._path}: {name} has {info.file_size:,} bytes, at most {limit:,} make sense"
                )
            with self._archive.open(info) as stream:
                data = stream.read(limit + 1)
        except _DAMAGE as error:
            raise UnreadableError(f"{self._path}: {name} cannot be read: {_first_line(error)}") from None
        if len(data) > limit:
            raise UnreadableError(f"{self._path}: {name} unpacks to more than it declares")
        return data


@contextmanager
def open_zip(path: Path, anchor: str) -> Iterator[ZipBundle]:
    """Open a zip file as a bundle. Raises UnreadableError."""
    try:
        archive = zipfile.ZipFile(path)
    except _DAMAGE as error:
        raise UnreadableError(f"{path}: the zip file is damaged: {_first_line(error)}") from None
    with archive:
        yield ZipBundle(path, archive, anchor)


def zip_has(path: Path, anchor: str) -> bool:
    """Whether a zip file has a member of that base name; False when it is no readable zip file."""
    try:
        with zipfile.ZipFile(path) as archive:
            return any(PurePosixPath(name).name == anchor for name in archive.namelist())
    except _DAMAGE:
        return False


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:160]
