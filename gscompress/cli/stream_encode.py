"""``gscompress stream encode``: a sequence of splat files to a stream, as one file or as a folder for the web."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gscompress.atomic import check_target, staged
from gscompress.cli import console
from gscompress.cli.options import Force, Json
from gscompress.errors import OutputExistsError, UnreadableError, UsageError
from gscompress.events import EventLog

if TYPE_CHECKING:
    from gscompress.context import Context
    from gscompress.scene import Scene
    from gscompress.stream.base import FrameCodec
    from gscompress.stream.frames import Gop

Frames = Annotated[
    str,
    typer.Argument(
        metavar="FRAMES",
        help="A folder or zip of per-frame splat files; - reads their paths from standard input as they are made.",
    ),
]
Output = Annotated[Path, typer.Argument(metavar="OUT", help="A .gscz file, or a folder that web servers can publish.")]
Rate = Annotated[float, typer.Option(metavar="FPS", help="Frames per second.")]
Group = Annotated[int, typer.Option(metavar="N", help="Most frames from one key frame to the next (seek points).")]
Quality = Annotated[float, typer.Option(metavar="0..100", help="0 is smallest, 100 is best.")]
Qualities = Annotated[
    str | None, typer.Option(metavar="Q,Q,…", help="Several renditions, among which players choose; OUT is a folder.")
]
Bitrate = Annotated[
    str | None,
    typer.Option(metavar="RATE", help="Most bytes per second, as 5MB/s; --quality is then where the search starts."),
]
Codec = Annotated[str, typer.Option("--codec", metavar="NAME", help="stream (ours), queen, or intra (no residuals).")]
Cameras = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Views to judge by (cameras.json, transforms.json, COLMAP); default: generated."),
]
Tune = Annotated[
    int,
    typer.Option(
        metavar="N",
        min=0,
        help="Updates of tuning for frames that matching does not explain (else key frames); stream.",
    ),
]
Pictures = Annotated[
    Path | None,
    typer.Option(
        "--photos",
        metavar="FOLDER",
        help="Track by photos: a folder per frame (COLMAP, transforms.json); FRAMES is the first frame's splat file.",
    ),
]
Updates = Annotated[int, typer.Option(metavar="N", min=1, help="With --photos: updates of tuning per frame.")]
Live = Annotated[bool, typer.Option("--live", help="Follow the folder FRAMES as it grows; OUT is a folder.")]
Idle = Annotated[
    float | None, typer.Option(metavar="SECONDS", min=0, help="With --live: end when no frame comes for so long.")
]


def encode(
    frames: Frames,
    target: Output,
    fps: Rate = 30.0,
    gop: Group = 30,
    quality: Quality = 50.0,
    qualities: Qualities = None,
    bitrate: Bitrate = None,
    codec: Codec = "stream",
    cameras: Cameras = None,
    tune: Tune = 0,
    photos: Pictures = None,
    updates: Updates = 200,
    live: Live = False,
    idle: Idle = None,
    as_json: Json = False,
    force: Force = False,
) -> None:
    """Encode a sequence of splat files as a stream."""
    from gscompress.cli.stream_views import context_for, photo_frames
    from gscompress.cli.views import in_axes_of, load
    from gscompress.sequence import Sequence, gathered

    live = live or frames == "-"
    codecs = _codecs(codec, [quality] if qualities is None else _numbers(qualities), tune)
    pace = None if bitrate is None else console.parse_size(bitrate.strip().removesuffix("/s"))
    if photos is not None and live:
        raise UsageError("a live stream cannot be tracked by photos: leave out --live or --photos")
    if pace is not None and len(codecs) > 1:
        raise UsageError("a stream keeps to a bitrate or has several qualities, not both")
    _check(target, live=live, several=len(codecs) > 1, force=force)
    with console.progress() as log:
        scenes, count = _source(frames, fps, live, idle, log)
        started = time.perf_counter()
        first = next(iter(scenes), None)
        if first is None:
            raise UnreadableError("no frame came")
        shown = gathered(scenes.frames) if isinstance(scenes, Sequence) else first
        ctx = context_for(shown, in_axes_of(first, load(cameras)), log)
        if photos is not None:
            scenes = photo_frames(first, photos, updates, ctx)
            count = len(scenes)
        job = _Job(scenes, first, codecs, ctx, fps, gop, count, pace)
        with _opened(target, live=live, force=force) as path, log.phase("encode frames", job.total) as tick:
            size = job.to_folder(path, live, tick) if _is_folder(target) else job.to_file(path, tick)
    seconds = time.perf_counter() - started
    made = max(sum(len(group["frame_bytes"]) for group in groups) for groups in job.made.values())
    rate = size / made * fps
    if as_json:
        facts = {"output": str(target), "output_bytes": size, "frames": made, "bytes_per_second": round(rate)}
        groups = next(iter(job.made.values())) if len(job.made) == 1 else job.made
        console.emit({**facts, "seconds": round(seconds, 3), "gops": groups, "warnings": log.warnings})
        return
    console.say(
        f"{made} frames → {target.name} {console.size_text(size)} "
        f"({console.size_text(size / made)} per frame, {console.size_text(rate)}/s at {fps:g} fps, "
        f"{seconds / made:.2f} s per frame)"
    )


@dataclass(frozen=True, slots=True)
class _Job:
    """What is encoded, and what came of it: made holds the groups of each rendition."""

    scenes: Iterable[Scene]
    first: Scene
    codecs: dict[str, FrameCodec]
    ctx: Context
    fps: float
    gop: int
    count: int | None
    pace: int | None
    made: dict[str, list[dict[str, Any]]] = field(default_factory=dict)

    @property
    def total(self) -> int | None:
        return None if self.count is None else self.count * len(self.codecs)

    def header(self, codec: FrameCodec) -> dict[str, Any]:
        from gscompress.stream.frames import header_for

        return header_for(self.first, codec, fps=self.fps, gop=self.gop, frames=self.count)

    def groups(self, name: str, tick: Any) -> Iterator[Gop]:
        from gscompress.stream.frames import encode_gops
        from gscompress.stream.pace import paced_gops

        made, codec = self.made.setdefault(name, []), self.codecs[name]
        if self.pace is None:
            groups = encode_gops(self.scenes, codec, self.ctx, self.fps, self.gop)
        else:
            groups = paced_gops(self.scenes, codec, self.ctx, self.pace, self.fps, self.gop)
        for one in groups:
            made.append({"first_frame": one.first_frame, "frame_bytes": list(one.frame_sizes)})
            tick(one.frames)
            yield one

    def to_file(self, path: Path, tick: Any) -> int:
        from gscompress.stream.file import write_stream

        ((name, codec),) = self.codecs.items()
        with path.open("wb") as out:
            return write_stream(out, self.header(codec), self.groups(name, tick))

    def to_folder(self, path: Path, live: bool, tick: Any) -> int:
        from gscompress.stream.folder import FolderWriter

        writer = FolderWriter(path, self.fps, {name: self.header(codec) for name, codec in self.codecs.items()})
        if live:
            writer.publish(live=True)
        writer.write({name: self.groups(name, tick) for name in self.codecs}, live=live)
        return writer.size


def _source(
    frames: str, fps: float, live: bool, idle: float | None, log: EventLog
) -> tuple[Iterable[Scene], int | None]:
    """The scenes, and how many they are when that is known."""
    from gscompress.sequence import read_sequence
    from gscompress.stream.live import LiveFrames, follow, printed

    if frames == "-":
        return LiveFrames(printed(sys.stdin), log), None
    if live:
        return LiveFrames(follow(Path(frames), log, idle), log), None
    sequence = read_sequence(frames, fps, log)
    return sequence, len(sequence)


def _codecs(name: str, qualities: list[float], tune: int) -> dict[str, FrameCodec]:
    """One codec per quality, by the rendition's name: q30, q62-5."""
    from gscompress.config import from_config
    from gscompress.stream import STREAM_CODECS

    for quality in qualities:
        if not 0 <= quality <= 100:
            raise UsageError(f"quality {quality:g} is out of range: give 0 (smallest) to 100 (best)")
    cls = STREAM_CODECS.get(name)
    if tune and not hasattr(cls, "tune"):
        raise UsageError(f"codec '{name}' does not track by tuning: leave out --tune")
    more = {"tune": tune} if tune else {}
    return {f"q{quality:g}".replace(".", "-"): from_config(cls, {"quality": quality, **more}) for quality in qualities}


def _numbers(text: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise UsageError(f"'{text}' is no list of qualities: give for example 30,60") from None


def _is_folder(target: Path) -> bool:
    return target.suffix.lower() != ".gscz"


def _check(target: Path, *, live: bool, several: bool, force: bool) -> None:
    """Refuse what cannot work before any work is done. Raises UsageError."""
    if target.suffix and _is_folder(target) and not target.is_dir():
        raise UsageError(f"{target.name}: stream encode writes .gscz files, or folders (a name without a suffix)")
    if not _is_folder(target) and (live or several):
        raise UsageError(f"{target.name}: live streams and several qualities need a folder: leave the suffix away")
    if target.is_dir() and force and any(target.iterdir()) and not (target / "manifest.json").is_file():
        raise OutputExistsError(f"{target} is a folder of something else: choose another name")
    check_target(target, force=force)


def _opened(target: Path, *, live: bool, force: bool) -> AbstractContextManager[Path]:
    """Where to write: out of sight until all is done, but for live streams, which are watched meanwhile."""
    if not live:
        return staged(target, force=force)
    if target.is_dir():
        shutil.rmtree(target)
    target.mkdir()
    return nullcontext(target)
