"""Write a stream as a folder that any static web server can publish: manifest, init segments, one file per group.

    OUT/manifest.json
    OUT/q60/init.gscz                 signature and HEAD of a .gscz file
    OUT/q60/000000-1f0c33aa.gop       the chunks of a group; the name holds their checksum, so it never changes meaning

Files appear whole, by renaming; the manifest comes last, so that whatever it lists is there.
"""

from __future__ import annotations

import io
import os
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from gscompress.container.reader import Reader
from gscompress.container.writer import Writer
from gscompress.errors import ChecksumError, UnreadableError
from gscompress.stream import manifest as manifests
from gscompress.stream.frames import Gop
from gscompress.stream.manifest import Group, Manifest, Rendition, Segment


def as_file(folder: Path) -> bytes:
    """The largest rendition of a folder as the bytes of a ``.gscz`` file.

    Raises UnreadableError when a segment is missing or not what the manifest says.
    """
    try:
        manifest = manifests.from_json((folder / manifests.NAME).read_bytes())
    except OSError:
        raise UnreadableError(f"no stream: a folder of one has a {manifests.NAME}") from None
    chosen, out = manifest.renditions[-1], io.BytesIO()
    writer = Writer(out, Reader(_checked(folder, chosen.init)).header)
    for group in chosen.groups:
        writer.append(_checked(folder, group.segment))
    writer.finish()
    return out.getvalue()


def _checked(folder: Path, segment: Segment) -> bytes:
    try:
        data = (folder / segment.path).read_bytes()
    except OSError as error:
        raise UnreadableError(f"{segment.path}: {error.strerror}") from None
    if len(data) != segment.size or zlib.crc32(data) != segment.crc32:
        raise ChecksumError(f"{segment.path} is not what the manifest says: it is damaged")
    return data


class FolderWriter:
    """Adds groups of pictures to a folder. ``publish`` makes those that were added visible.

    headers: by rendition name, as of ``header_for``. Raises OSError when the disk does not take it.
    """

    def __init__(self, folder: Path, fps: float, headers: Mapping[str, Mapping[str, Any]]) -> None:
        self._folder, self._fps = folder, fps
        self._groups: dict[str, list[Group]] = {name: [] for name in headers}
        self._inits: dict[str, Segment] = {}
        self.size = 0
        for name, header in headers.items():
            (folder / name).mkdir(parents=True)
            head = io.BytesIO()
            Writer(head, header)
            self._inits[name] = self._put(f"{name}/init.gscz", head.getvalue())

    def add(self, rendition: str, gop: Gop) -> None:
        """Write the next group of a rendition."""
        path = f"{rendition}/{gop.index:06d}-{zlib.crc32(gop.data):08x}.gop"
        self._groups[rendition].append(Group(gop.first_frame, gop.frames, self._put(path, gop.data)))

    def publish(self, *, live: bool) -> Manifest:
        """Write the manifest; ``live`` says that more will come."""
        renditions = [Rendition(name, self._inits[name], tuple(groups)) for name, groups in self._groups.items()]
        manifest = Manifest(self._fps, live, sorted(renditions, key=lambda rendition: rendition.size))
        self._write(manifests.NAME, manifests.to_json(manifest))
        return manifest

    def write(self, renditions: Mapping[str, Iterator[Gop]], *, live: bool) -> Manifest:
        """Take turns among the renditions until all are at their end. ``live``: show each round as soon as it is done.

        Whatever happens, what is there by then is published as a whole stream.
        """
        waiting = dict(renditions)
        try:
            while waiting:
                for name in list(waiting):
                    gop = next(waiting[name], None)
                    if gop is None:
                        del waiting[name]
                    else:
                        self.add(name, gop)
                if live:
                    self.publish(live=True)
        finally:
            manifest = self.publish(live=False)
        return manifest

    def _put(self, path: str, data: bytes) -> Segment:
        self._write(path, data)
        self.size += len(data)
        return Segment(path, len(data), zlib.crc32(data))

    def _write(self, path: str, data: bytes) -> None:
        target = self._folder / path
        hidden = target.with_name(f".{target.name}.part")
        hidden.write_bytes(data)
        os.replace(hidden, target)
