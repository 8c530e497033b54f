"""Ecosystem file formats: ``read`` and ``write`` any of them by content and suffix."""

from __future__ import annotations

import os
from pathlib import Path

from gscompress.atomic import staged
from gscompress.errors import UnreadableError, UsageError
from gscompress.events import EventLog
from gscompress.formats.base import Format
from gscompress.registry import Registry
from gscompress.scene import Scene

_HERE = "gscompress.formats"
FORMATS: Registry[type[Format]] = Registry(
    "format",
    {
        "gscz": "gscompress.codecs.gscz:GsczFormat",
        "compressed_ply": f"{_HERE}.compressed_ply:CompressedPlyFormat",
        "ply": f"{_HERE}.ply:PlyFormat",
        "spz": f"{_HERE}.spz:SpzFormat",
        "sog": f"{_HERE}.sog:SogFormat",
        "ksplat": f"{_HERE}.ksplat:KsplatFormat",
        "gltf": f"{_HERE}.gltf:GltfFormat",
        "npz": f"{_HERE}.npz:NpzFormat",
        "checkpoint": f"{_HERE}.checkpoint:CheckpointFormat",
        "splat": f"{_HERE}.splat:SplatFormat",
    },
)
_HEAD = 65536


def read(path: str | os.PathLike[str], log: EventLog | None = None) -> Scene:
    """Read a splat scene of any known format, recognised by content first and by suffix second.

    Raises UnreadableError (no such file, unknown type, corrupt) and MissingExtraError.
    """
    source = Path(path)
    return detect(source).read(source, log or EventLog())


def write(scene: Scene, path: str | os.PathLike[str], *, force: bool = True, log: EventLog | None = None) -> None:
    """Write a scene in the format that the suffix names; losses are reported through ``log.warn``.

    Raises UsageError for an unknown suffix, OutputExistsError when the file exists and ``force`` is off.
    """
    target, log = Path(path), log or EventLog()
    fmt = by_suffix(target)
    if not fmt.writable:
        raise UsageError(f"gscompress reads .{fmt.name} files but does not write them: choose another output")
    for loss in fmt.losses(scene):
        log.warn(f"{target.name}: {loss}")
    with staged(target, force=force) as temporary:
        fmt.write(scene, temporary, log)


def detect(path: Path) -> Format:
    """The format of an existing file or folder. Raises UnreadableError."""
    if not path.exists():
        raise UnreadableError(f"{path}: no such file")
    head = b""
    if path.is_file():
        try:
            with path.open("rb") as stream:
                head = stream.read(_HEAD)
        except OSError as error:
            raise UnreadableError(f"{path}: cannot be read: {error.strerror}") from None
        if not head:
            raise UnreadableError(f"{path}: the file is empty")
    for name in FORMATS:
        candidate = FORMATS.get(name)()
        if candidate.sniff(path, head):
            return candidate
    raise UnreadableError(f"{path}: not a splat file that gscompress knows (formats: {', '.join(FORMATS)})")


def by_suffix(path: Path) -> Format:
    """The format that a file name asks for; the longest matching suffix wins. Raises UsageError."""
    best: tuple[int, Format] | None = None
    for name in FORMATS:
        candidate = FORMATS.get(name)()
        for suffix in candidate.suffixes:
            if path.name.lower().endswith(suffix) and (best is None or len(suffix) > best[0]):
                best = (len(suffix), candidate)
    if best is None:
        known = sorted(s for name in FORMATS for s in FORMATS.get(name).suffixes)
        raise UsageError(f"{path.name}: unknown output type, use one of {' '.join(known)}")
    return best[1]
