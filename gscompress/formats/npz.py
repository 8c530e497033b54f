"""``.npz``: the arrays of a scene under their own names, lossless, readable with ``numpy.load`` and nothing else.

Members: means, log_scales, quats, logit_opacities, sh as in :class:`gscompress.scene.Splats`, extras/NAME for further
columns, and scene, the bytes of a JSON object with format, version, frame, model and meta. No pickles.
"""

from __future__ import annotations

import json
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from gscompress.errors import GscompressError, UnreadableError, UsageError
from gscompress.events import EventLog
from gscompress.formats.base import Format
from gscompress.formats.limits import FREE_BYTES, MAX_RATIO
from gscompress.frame import Frame
from gscompress.scene import Scene, Splats

_CORE = ("means", "log_scales", "quats", "logit_opacities", "sh")
_EXTRAS = "extras/"
_VERSION = 1
_MEMBERS = 4096
_BLOCK = 1 << 20
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_DAMAGE = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    tokenize.TokenError,
    EOFError,
    RuntimeError,
    ValueError,
    TypeError,
    OSError,
    LookupError,
    SyntaxError,
    OverflowError,
)


class NpzFormat(Format):
    """Everything is kept: arrays bit for bit, axes, model, metadata and extra columns of any plain type."""

    name = "npz"
    suffixes = (".npz",)

    def sniff(self, path: Path, head: bytes) -> bool:
        name = head[30 : 30 + int.from_bytes(head[26:28], "little")]
        return head[:4] == b"PK\x03\x04" and name.endswith(b".npy")

    def read(self, path: Path, log: EventLog) -> Scene:
        try:
            with zipfile.ZipFile(path) as archive:
                arrays = _arrays(path, archive)
                facts = _facts(path, arrays.pop("scene", None))
            extras = {name[len(_EXTRAS) :]: a for name, a in arrays.items() if name.startswith(_EXTRAS)}
            missing = [name for name in _CORE if name not in arrays]
            if missing:
                raise UnreadableError(f"{path}: no splat scene: the array {missing[0]} is missing")
            splats = Splats(**{name: arrays[name] for name in _CORE}, extras=extras)
            return Scene(splats, Frame(facts["frame"]), facts["model"], facts["meta"])
        except UnreadableError:
            raise
        except GscompressError as error:
            raise UnreadableError(f"{path}: {error}") from None
        except _DAMAGE as error:
            first = (str(error).splitlines() or [type(error).__name__])[0]
            raise UnreadableError(f"{path}: the .npz is damaged: {first[:200]}") from None

    def losses(self, scene: Scene) -> list[str]:
        objects = _objects(scene.splats.extras)
        return [f"extra columns of Python objects are dropped: {', '.join(objects)}"] if objects else []

    def write(self, scene: Scene, path: Path, log: EventLog) -> None:
        facts = {"format": "gscompress", "version": _VERSION, "frame": scene.frame.axes, "model": scene.model}
        try:
            text = json.dumps(facts | {"meta": dict(scene.meta)}, sort_keys=True)
        except (TypeError, ValueError, RecursionError) as error:
            raise UsageError(f"the scene's metadata is no JSON: {error}") from None
        arrays = {"scene": np.frombuffer(text.encode(), np.uint8)}
        arrays |= {name: getattr(scene.splats, name) for name in _CORE}
        objects = _objects(scene.splats.extras)
        arrays |= {_EXTRAS + name: a for name, a in scene.splats.extras.items() if name not in objects}
        with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
            for name, array in arrays.items():
                entry = zipfile.ZipInfo(name + ".npy")  # dated 1980: the same scene gives the same bytes
                with archive.open(entry, "w", force_zip64=array.nbytes > 1 << 30) as stream:
                    np.lib.format.write_array(stream, array, allow_pickle=False)


def _objects(extras: Mapping[str, npt.NDArray[Any]]) -> list[str]:
    return [name for name, array in extras.items() if array.dtype.hasobject]


def _arrays(path: Path, archive: zipfile.ZipFile) -> dict[str, npt.NDArray[Any]]:
    """Every .npy member, after what they declare was checked against the size of the file. Raises UnreadableError."""
    entries = [entry for entry in archive.infolist() if entry.filename.endswith(".npy")]
    allowed = max(FREE_BYTES, MAX_RATIO * path.stat().st_size)
    declared = sum(entry.file_size for entry in entries)
    if declared > allowed or len(entries) > _MEMBERS:
        raise UnreadableError(f"{path}: claims to hold {declared:,} bytes in {len(entries)} arrays: refused as a bomb")
    arrays = {}
    for entry in entries:
        if entry.compress_type not in _METHODS or entry.flag_bits & 1:
            raise UnreadableError(f"{path}: {entry.filename} is encrypted or packed with an unusual method")
        with archive.open(entry) as stream:
            shape, fortran, dtype = _npy_header(stream)
            count = 1
            for extent in shape:
                count *= extent
            if (
                dtype.hasobject
                or count < 0
                or count * dtype.itemsize > entry.file_size
                or (count and not dtype.itemsize)
            ):
                raise UnreadableError(f"{path}: {entry.filename} claims {dtype}{shape}, which it cannot hold")
            array = np.empty(count, dtype)
            _fill(stream, array)
            if stream.read(1):
                raise UnreadableError(f"{path}: {entry.filename} is longer than its array")
        arrays[entry.filename[: -len(".npy")]] = array.reshape(shape, order="F" if fortran else "C")
    return arrays


def _fill(stream: IO[bytes], array: npt.NDArray[Any]) -> None:
    """Read exactly the bytes of ``array`` into it. Raises EOFError when there are fewer."""
    view = array.view(np.uint8).data.cast("B") if array.nbytes else memoryview(b"")
    done = 0
    while done < len(view):
        part = stream.read(min(_BLOCK, len(view) - done))
        if not part:
            raise EOFError("an array is cut off")
        view[done : done + len(part)] = part
        done += len(part)


def _npy_header(stream: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    version = np.lib.format.read_magic(stream)
    if version == (1, 0):
        return np.lib.format.read_array_header_1_0(stream)
    return np.lib.format.read_array_header_2_0(stream)


def _facts(path: Path, stored: npt.NDArray[Any] | None) -> dict[str, Any]:
    """The JSON object about the scene. Raises UnreadableError."""
    facts = json.loads(stored.tobytes()) if stored is not None else None
    if not isinstance(facts, dict) or facts.get("format") != "gscompress":
        raise UnreadableError(f"{path}: an .npz file, but not one of gscompress")
    if facts.get("version") != _VERSION:
        raise UnreadableError(f"{path}: written by a later gscompress (version {facts.get('version')}): update")
    kinds = {"frame": str, "meta": dict}
    if any(not isinstance(facts.get(key), kind) for key, kind in kinds.items()) or facts.get("model") not in (
        "3dgs",
        "mip",
        "2dgs",
    ):
        raise UnreadableError(f"{path}: the facts about the scene are damaged")
    return facts
