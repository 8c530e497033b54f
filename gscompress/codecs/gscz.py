"""From scene to ``.gscz`` and back: joins a recipe, its codec and the container."""

from __future__ import annotations

import json
import lzma
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

from gscompress.codecs import CODECS
from gscompress.codecs.base import Codec
from gscompress.config import from_config, to_config
from gscompress.container import layout, writer
from gscompress.container.chunk import Chunk
from gscompress.container.reader import Reader
from gscompress.context import Context
from gscompress.errors import GscompressError, UnreadableError, UsageError
from gscompress.events import EventLog
from gscompress.formats.base import Format
from gscompress.frame import Frame
from gscompress.recipe import Recipe
from gscompress.registry import Registry
from gscompress.scene import Scene

_C = TypeVar("_C")
# What numpy, struct and the byte compressors raise when a codec meets bytes that no encoder wrote. MemoryError too:
# a count that passed the codec's own check may still be more than this machine has.
_DAMAGE = (ArithmeticError, LookupError, ValueError, TypeError, struct.error, lzma.LZMAError, MemoryError)


@dataclass(frozen=True, slots=True)
class Facts:
    """What HEAD says, checked. gaussians and sh_degree describe the scene that the codec was given."""

    gaussians: int
    sh_degree: int
    frame: Frame
    model: Any
    meta: dict[str, Any]
    codec: Codec
    recipe: dict[str, Any]
    writer: str

    def given_to(self, scene: Scene) -> Scene:
        """A decoded scene with the frame, model and metadata of the file."""
        return replace(scene, frame=self.frame, model=self.model, meta=self.meta)


def encode(stream: BinaryIO, scene: Scene, recipe: Recipe, ctx: Context, source_gaussians: int) -> int:
    """Write a prepared scene to ``stream`` with the recipe's codec; returns the size in bytes.

    ``scene`` has been through ``recipe.prepare``; ``source_gaussians`` is the count before that, for the record.
    """
    return writer.write(stream, _header(scene, recipe, source_gaussians), _declared(recipe.codec, scene, ctx))


def facts(reader: Reader) -> Facts:
    """Interpret HEAD. Raises UnreadableError."""
    if "stream" in reader.header:
        raise UnreadableError("holds a stream of frames, not one scene: use 'gscompress stream decode --frame N'")
    if "field" in reader.header:
        raise UnreadableError("the file holds a radiance field, not splats: use the commands that read fields")
    try:
        scene, codec = reader.header["scene"], reader.header["codec"]
        meta, recipe = scene["meta"], reader.header.get("recipe", {})
        gaussians, sh_degree = scene["gaussians"], scene["sh_degree"]
        frame, model, version = Frame(scene["frame"]), scene["model"], codec["version"]
        built = build(CODECS, "codec", codec["name"], version, codec["config"])
    except (KeyError, TypeError, AttributeError, UsageError) as error:
        raise UnreadableError(f"the header is incomplete or malformed ({error}): the file is corrupt") from None
    whole = all(isinstance(value, int) and value >= 0 for value in (gaussians, sh_degree))
    if not whole or model not in ("3dgs", "mip", "2dgs") or not (isinstance(meta, dict) and isinstance(recipe, dict)):
        raise UnreadableError("the header has values of the wrong kind: the file is corrupt")
    return Facts(gaussians, sh_degree, frame, model, meta, built, recipe, str(reader.header.get("writer", "")))


def stored_gaussians(reader: Reader, codec: Codec) -> int:
    """How many Gaussians the file holds (a codec may prune), counted without decoding. Raises UnreadableError."""
    infos = [chunk.streams.get("info", b"") for chunk in reader.chunks(codec.kinds)]
    return sum(int.from_bytes(info[:4], "little") for info in infos)


def decode(reader: Reader, log: EventLog, max_level: int | None = None) -> Iterator[Scene]:
    """Yield the best scene known after every level. Raises UnreadableError."""
    known = _announced(reader, log)
    decoded = 0
    with damage_reported(known.codec.name):
        for scene in known.codec.decode(reader.chunks(known.codec.kinds, max_level)):
            decoded += 1
            yield known.given_to(scene)
    if not decoded:
        raise UnreadableError("the file holds no scene")


def decode_last(reader: Reader, log: EventLog, max_level: int | None = None) -> Scene:
    """The scene with all levels that are there. Raises UnreadableError."""
    known = _announced(reader, log)
    with damage_reported(known.codec.name):
        return known.given_to(known.codec.decode_whole(reader.chunks(known.codec.kinds, max_level)))


def _announced(reader: Reader, log: EventLog) -> Facts:
    if reader.truncated:
        log.warn("the file is cut off: decoded to its last complete level")
    return facts(reader)


@contextmanager
def damage_reported(codec: str) -> Iterator[None]:
    """What decoding damaged bytes raises, as UnreadableError."""
    try:
        yield
    except GscompressError:
        raise
    except _DAMAGE as error:
        raise UnreadableError(f"the {codec} codec cannot decode this: the file is corrupt ({error})") from error


class GsczFormat(Format):
    """Our own format, as one among the others: read any, write with the default preset."""

    name = "gscz"
    suffixes = (".gscz",)

    def sniff(self, path: Path, head: bytes) -> bool:
        return head.startswith(layout.MAGIC[: max(1, len(head))])

    def read(self, path: Path, log: EventLog) -> Scene:
        try:
            return decode_last(Reader.open(path), log)
        except UnreadableError as error:
            raise type(error)(f"{path}: {error}") from error

    def losses(self, scene: Scene) -> list[str]:
        return ["written with the default preset, which is lossy: use 'gscompress compress' to choose"]

    def write(self, scene: Scene, path: Path, log: EventLog) -> None:
        from gscompress.codecs.presets import PRESETS

        recipe, ctx = PRESETS.get("default"), Context(log=log)
        prepared = recipe.prepare(scene, ctx)
        with path.open("wb") as stream:
            encode(stream, prepared, recipe, ctx, len(scene))


def _header(scene: Scene, recipe: Recipe, source_gaussians: int) -> dict[str, Any]:
    from gscompress import __version__

    codec = recipe.codec
    return {
        "writer": f"gscompress {__version__}",
        "scene": {
            "gaussians": len(scene),
            "sh_degree": scene.splats.sh_degree,
            "frame": scene.frame.axes,
            "model": scene.model,
            "meta": json.loads(json.dumps(dict(scene.meta), default=_plain)),
        },
        "codec": {"name": codec.name, "version": codec.version, "config": to_config(codec)},
        "recipe": recipe.to_json() | {"source_gaussians": source_gaussians},
    }


def _plain(value: Any) -> Any:
    """Numpy scalars and arrays as JSON; anything else by its text, so that no fact is dropped silently."""
    return value.tolist() if hasattr(value, "tolist") else str(value)


def _declared(codec: Codec, scene: Scene, ctx: Context) -> Iterator[Chunk]:
    for chunk in codec.encode(scene, ctx):
        if chunk.kind not in codec.kinds:
            raise TypeError(f"codec {codec.name} emits chunk type {chunk.kind}, which its 'kinds' do not list")
        yield chunk


def build(known: Registry[type[_C]], what: str, name: str, version: Any, config: dict[str, Any]) -> _C:
    """The codec that a file asks for. what: what to call it in errors. Raises UnreadableError."""
    if name not in known:
        raise UnreadableError(f"the file needs the {what} '{name}', which this gscompress does not have: upgrade")
    cls = known.get(name)
    if not isinstance(version, int) or version > cls.version:  # type: ignore[attr-defined]
        raise UnreadableError(f"the file needs version {version} of the {what} '{name}': upgrade gscompress")
    return from_config(cls, config)
