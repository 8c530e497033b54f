"""The manifest of a stream: its groups of pictures, and where each rendition keeps the bytes of every one of them.

docs/streaming.md specifies the JSON. A stream in a single file has no manifest of its own: ``opening`` builds one from
its index, so that a client knows only this description.
"""

from __future__ import annotations

import json
import math
import re
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gscompress.errors import UnreadableError

NAME = "manifest.json"
KIND, VERSION = "gscompress-stream", 1
MAX_BYTES = 64 << 20
"""Largest manifest that is read: some 400,000 segments."""
MAX_SEGMENT = 1 << 30
"""Largest segment that is believed: a wish to download more is refused before anything is allocated."""
MAX_GOP = 100_000
"""Most frames in one group of pictures."""
_PATH = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]*(/[A-Za-z0-9_-][A-Za-z0-9_.-]*){0,7}")


@dataclass(frozen=True, slots=True)
class Segment:
    """Where bytes lie: ``size`` of them from ``offset`` of the file ``path``, relative to the manifest.

    crc32: of those bytes (IEEE, as in zip), or None where every chunk in them carries its own (a single file).
    """

    path: str
    size: int
    crc32: int | None
    offset: int = 0


@dataclass(frozen=True, slots=True)
class Group:
    """A group of pictures: its key frame's number, how many frames it has, and its bytes."""

    first_frame: int
    frames: int
    segment: Segment

    @property
    def stop(self) -> int:
        return self.first_frame + self.frames


@dataclass(frozen=True, slots=True)
class Rendition:
    """One quality of the stream. ``init`` holds the header; ``groups`` follow each other from frame 0, without gaps."""

    name: str
    init: Segment
    groups: Sequence[Group]

    @property
    def frames(self) -> int:
        return self.groups[-1].stop if self.groups else 0

    @property
    def size(self) -> int:
        """Bytes of all groups."""
        return sum(group.segment.size for group in self.groups)

    def group_of(self, frame: int) -> Group | None:
        """The group that has this frame, None outside the rendition."""
        if not 0 <= frame < self.frames:
            return None
        return self.groups[bisect_right(self.groups, frame, key=lambda group: group.first_frame) - 1]


@dataclass(frozen=True, slots=True)
class Manifest:
    """fps: frames per second. live: more groups will follow. renditions: at least one, the smallest first.

    Renditions need not begin their groups at the same frames, and one may have more frames than another.
    """

    fps: float
    live: bool
    renditions: Sequence[Rendition]

    @property
    def frames(self) -> int:
        """How many can be had in every rendition, numbered from 0."""
        return min(rendition.frames for rendition in self.renditions)

    def bitrate(self, rendition: Rendition) -> float:
        """Bytes per second that a rendition takes when played; 0 while it is empty."""
        return self.fps * rendition.size / rendition.frames if rendition.frames else 0.0

    def continues(self, older: Manifest) -> bool:
        """Whether this is a later state of the same live stream: all that was there is there."""
        theirs = {r.name: r for r in older.renditions}
        return (older.live and self.fps == older.fps and len(theirs) == len(self.renditions)) and all(
            mine.name in theirs
            and mine.init == theirs[mine.name].init
            and list(mine.groups[: len(theirs[mine.name].groups)]) == list(theirs[mine.name].groups)
            for mine in self.renditions
        )


def is_safe(path: str) -> bool:
    """Whether a relative path stays below where it starts and names nothing hidden."""
    return _PATH.fullmatch(path) is not None


def to_json(manifest: Manifest) -> bytes:
    """The manifest as the bytes of ``manifest.json``. Same manifest, same bytes."""
    body = {
        "format": KIND,
        "version": VERSION,
        "fps": manifest.fps,
        "live": manifest.live,
        "renditions": [
            {
                "name": rendition.name,
                "bytes_per_second": round(manifest.bitrate(rendition)),
                "init": _segment_json(rendition.init),
                "groups": [
                    {"first_frame": group.first_frame, "frames": group.frames, **_segment_json(group.segment)}
                    for group in rendition.groups
                ],
            }
            for rendition in manifest.renditions
        ],
    }
    return json.dumps(body, separators=(",", ":"), allow_nan=False).encode("ascii")


def from_json(data: bytes) -> Manifest:
    """Parse and check everything: whoever wrote it may wish us ill. Raises UnreadableError."""
    try:
        body = json.loads(data)
        if body["format"] != KIND:
            raise ValueError(f"its format is not {KIND}")
        if body["version"] != VERSION:
            raise UnreadableError(f"the manifest has version {body['version']}: upgrade gscompress to read it")
        renditions = sorted(map(_rendition, body["renditions"]), key=lambda rendition: rendition.size)
        manifest = Manifest(float(body["fps"]), body["live"], renditions)
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise UnreadableError(f"the manifest is malformed ({' '.join(str(error).split())})") from None
    _check(manifest)
    return manifest


def _check(manifest: Manifest) -> None:
    if not (math.isfinite(manifest.fps) and 0 < manifest.fps <= 1000) or not isinstance(manifest.live, bool):
        raise UnreadableError("the manifest's fps or live flag is out of range")
    if not manifest.renditions or len({r.name for r in manifest.renditions}) != len(manifest.renditions):
        raise UnreadableError("the manifest has no renditions, or two of the same name")
    if not manifest.live and not manifest.frames:
        raise UnreadableError("the stream has no frames")


def _rendition(item: Mapping[str, Any]) -> Rendition:
    if not isinstance(item["name"], str) or not is_safe(item["name"]):
        raise ValueError("a rendition's name may have letters, digits, - and _")
    groups = [
        Group(_whole(one["first_frame"], 1 << 32), _whole(one["frames"], MAX_GOP, 1), _segment(one))
        for one in item["groups"]
    ]
    if any(group.first_frame != start for group, start in zip(groups, [0, *(group.stop for group in groups)])):
        raise ValueError("groups of pictures have gaps or overlap")
    return Rendition(item["name"], _segment(item["init"]), groups)


def _segment(item: Mapping[str, Any]) -> Segment:
    path = item["path"]
    if not isinstance(path, str) or not is_safe(path):
        raise ValueError("a segment's path leaves the stream's folder")
    return Segment(path, _whole(item["bytes"], MAX_SEGMENT, 1), int(item["crc32"], 16) & 0xFFFFFFFF)


def _segment_json(segment: Segment) -> dict[str, Any]:
    return {"path": segment.path, "bytes": segment.size, "crc32": f"{segment.crc32 or 0:08x}"}


def _whole(value: Any, most: int, least: int = 0) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise ValueError("a number is out of range")
    return value
