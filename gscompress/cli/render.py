"""``gscompress render``: pictures or a film of any splat file."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import numpy.typing as npt
import typer

from gscompress.atomic import check_target, staged
from gscompress.camera import Camera
from gscompress.cli import console
from gscompress.cli.cameras import choose, file_names, parse_colour, parse_pixels, refit
from gscompress.cli.options import Force, Json, Source
from gscompress.errors import GscompressError, MissingExtraError, UsageError
from gscompress.events import EventLog
from gscompress.scene import Scene

if TYPE_CHECKING:
    from gscompress.field import Field
    from gscompress.renderers.base import Renderer

Out = Annotated[
    Path, typer.Option("--out", "-o", metavar="DIR|FILE", help="A folder for PNG files, a .png or an .mp4.")
]
Cameras = Annotated[
    str,
    typer.Option(
        metavar="FILE|KIND:N",
        help="cameras.json, transforms.json or a COLMAP folder; or generated: orbit:24, auto:24, inside:24.",
    ),
]
Size = Annotated[str | None, typer.Option(metavar="WxH", help="Pixels, such as 960x540; default: the cameras' own.")]
RendererName = Annotated[str, typer.Option("--renderer", metavar="NAME", help="cpu, triton or gsplat.")]
Background = Annotated[str, typer.Option(metavar="COLOUR", help="black, white or #rrggbb.")]
Preset = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="For radiance fields: vq-nerf or vq-nerf-quarter, fewer rays, less exact."),
]
Fps = Annotated[float, typer.Option(min=1, max=240, help="Frames per second of a film.")]

FILM = (".mp4", ".mov", ".mkv")
Picture = npt.NDArray[np.uint8]
Writer = Callable[[Path, Sequence[Camera], Iterator[Picture]], list[str]]


def render(
    source: Source,
    out: Out,
    cameras: Cameras = "orbit:24",
    size: Size = None,
    renderer: RendererName = "cpu",
    background: Background = "black",
    fps: Fps = 12.0,
    preset: Preset = None,
    as_json: Json = False,
    force: Force = False,
) -> None:
    """Render a splat file to pictures or to a film."""
    from gscompress import formats
    from gscompress.cli import fields
    from gscompress.frame import RDF
    from gscompress.renderers import RENDERERS

    colour, pixels = parse_colour(background), parse_pixels(size)
    check_target(out, force=force)
    write = _writer(out, fps)
    scene: Any
    engine: Any
    with console.progress() as log:
        if fields.recognised(source):
            scene = fields.read(source, log)
            chosen, colour = fields.views(scene, cameras, pixels), fields.backdrop(scene, colour)
            engine = _of_fields(preset, scene, chosen, log)
        elif preset is not None:
            raise UsageError(f"--preset {preset} is for radiance fields: {source.name} holds splats")
        else:
            engine = RENDERERS.get(renderer)()
            scene = formats.read(source, log).in_frame(RDF)
            chosen = choose(scene, cameras, pixels)
        if out.suffix.lower() in FILM:
            chosen = _alike(chosen)
        with staged(out, force=force) as path:
            written = write(path, chosen, _frames(engine, scene, chosen, colour, log))
    rays = {} if preset is None else {"rays": engine.rays, "pixels": sum(c.width * c.height for c in chosen)}
    if as_json:
        facts = {"input": str(source), "output": str(out), "files": written, "views": len(chosen)}
        console.emit({**facts, **rays, "warnings": log.warnings})
    else:
        traced = f", {rays['rays']:,} rays for {rays['pixels']:,} pixels" if rays else ""
        console.say(f"{source.name} → {out} ({len(chosen)} views, {chosen[0].width}x{chosen[0].height}{traced})")


def _of_fields(preset: str | None, field: Field, cameras: Sequence[Camera], log: EventLog) -> Any:
    """What draws a field. Raises UsageError for unknown presets."""
    if preset is None:
        from gscompress.renderers.volume import VolumeRenderer

        return VolumeRenderer()
    from gscompress import field_two_scale

    return field_two_scale.preset(preset, field, cameras, log)


def _frames(
    engine: Renderer, scene: Scene, cameras: Sequence[Camera], colour: tuple[float, float, float], log: EventLog
) -> Iterator[Picture]:
    """8-bit pictures in turn. Raises UsageError after the last when none of them shows the scene."""
    from gscompress.comparison import VISIBLE, nothing_seen, picture

    blind = []
    with log.phase("render", len(cameras)) as done:
        for camera in cameras:
            pixels, alpha = picture(engine, scene, camera, colour)
            if alpha < VISIBLE:
                blind.append(camera.name)
            yield pixels
            done(1)
    if len(blind) == len(cameras):
        raise UsageError(nothing_seen(len(cameras)))
    if blind:
        log.warn(f"{len(blind)} of {len(cameras)} cameras see nothing of the scene ({blind[0]}, …)")


def _writer(out: Path, fps: float) -> Writer:
    """What fits the suffix of ``out``. Raises MissingExtraError for a film without imageio-ffmpeg."""
    if out.suffix.lower() in FILM:
        try:
            import imageio_ffmpeg
        except ImportError:
            raise MissingExtraError("imageio-ffmpeg", "render", "writing a film") from None
        return partial(_film, imageio_ffmpeg, fps)
    return _single if out.suffix.lower() == ".png" else _folder


def _folder(path: Path, cameras: Sequence[Camera], frames: Iterator[Picture]) -> list[str]:
    from PIL import Image

    path.mkdir()
    names = file_names(cameras)
    for name, pixels in zip(names, frames, strict=True):
        Image.fromarray(pixels).save(path / name)
    return names


def _single(path: Path, cameras: Sequence[Camera], frames: Iterator[Picture]) -> list[str]:
    from PIL import Image

    if len(cameras) != 1:
        raise UsageError(f"{path.name} is one picture, there are {len(cameras)} cameras: give a folder or orbit:1")
    (pixels,) = frames
    Image.fromarray(pixels).save(path, format="PNG")
    return [path.name]


def _alike(cameras: Sequence[Camera]) -> list[Camera]:
    """One size for all frames of a film, that of the first camera with even sides, as H.264 wants it."""
    size = max(2, cameras[0].width // 2 * 2), max(2, cameras[0].height // 2 * 2)
    return [camera if (camera.width, camera.height) == size else refit(camera, *size) for camera in cameras]


def _film(
    imageio_ffmpeg: Any, fps: float, path: Path, cameras: Sequence[Camera], frames: Iterator[Picture]
) -> list[str]:
    size = cameras[0].width, cameras[0].height
    options = {"fps": fps, "quality": 8, "macro_block_size": 2, "ffmpeg_log_level": "error"}
    writer = imageio_ffmpeg.write_frames(str(path), size, **options)
    writer.send(None)
    try:
        for pixels in frames:
            writer.send(np.ascontiguousarray(pixels))
    except OSError as error:
        raise GscompressError(f"{path.name}: the film could not be written: {error}") from None
    finally:
        writer.close()
    return [path.name]
