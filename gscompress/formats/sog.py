"""``.sog``, the format of PlayCanvas: lossless WebP pictures and a ``meta.json``, zipped or in a folder.

The numbers are those of the .ply that a file was made from: splat-transform, which defines the format in practice,
turns nothing in between, whatever its prose says about axes. They are therefore taken as right-down-forward.
"""

from __future__ import annotations

import json
import math
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gscompress.errors import UsageError
from gscompress.events import EventLog
from gscompress.formats.base import Format
from gscompress.formats.bundle import ZIP, FolderBundle, open_zip, zip_has
from gscompress.formats.limits import require_finite
from gscompress.formats.sog_read import MAX_PALETTE, META, Source, read_source, read_splats, version_of
from gscompress.formats.sog_write import LOG_SCALE_RANGE, SH_RANGE, Pictures, encode_splats, palette_size
from gscompress.formats.webp_images import MAX_SIDE
from gscompress.frame import RDF
from gscompress.scene import Model, Scene

_MODELS: dict[object, Model] = {"default": "3dgs", "antialiased": "mip", "2dgs": "2dgs"}
_MODEL_WORDS: dict[Model, str] = {"mip": "antialiased", "2dgs": "2dgs"}
_MOST = (MAX_SIDE - 4) ** 2
# Worst case of three components off by half a step of 1/(127.5 sqrt 2) and the fourth derived from them.
_QUAT_DEGREES = math.degrees(2 * math.sqrt(12) * 0.5 * math.sqrt(0.5) / 127.5)
_EPOCH = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True)
class SogFormat(Format):
    """Reads versions 1 and 2, writes version 2: a zip file, or pictures beside a file that is named ``meta.json``.

    palette: the largest number of SH palette entries, 64 to 65,536 (as many as the reference writer uses).
    """

    name = "sog"
    suffixes = (".sog", META)
    palette: int = MAX_PALETTE

    def __post_init__(self) -> None:
        if not 64 <= self.palette <= MAX_PALETTE:
            raise UsageError(f"sog:palette={self.palette}: choose 64 to {MAX_PALETTE}")

    def sniff(self, path: Path, head: bytes) -> bool:
        if path.is_dir():
            return (path / META).is_file()
        if head[:4] == ZIP:
            return zip_has(path, META)
        return path.name.lower() == META and b'"means"' in head

    def read(self, path: Path, log: EventLog) -> Scene:
        if path.is_file() and path.name.lower() != META:
            with open_zip(path, META) as bundle:
                return _scene(read_source(path, bundle, path.stat().st_size), log)
        folder = path if path.is_dir() else path.parent
        stored = sum(file.stat().st_size for file in folder.iterdir() if file.is_file())
        return _scene(read_source(path, FolderBundle(folder), stored), log)

    def write(self, scene: Scene, path: Path, log: EventLog) -> None:
        require_finite(scene, "SOG")
        if len(scene) > _MOST:
            raise UsageError(f"{len(scene):,} Gaussians: a SOG picture holds at most {_MOST:,}")
        splats = scene.in_frame(RDF).splats
        pictures, error = encode_splats(splats, self.palette)
        if scene.model != "3dgs":
            pictures.meta["model"] = _MODEL_WORDS[scene.model]
        if error is not None and error.size:
            rms = float(np.sqrt(np.square(error, dtype=np.float64).mean()))
            log.info(f"{path.name}: SH error rms {rms:.2g}, max {np.abs(error).max():.2g}")
        if path.name.lower() == META:
            for name, data in pictures.files.items():
                (path.parent / name).write_bytes(data)
            path.write_text(_json(pictures), encoding="utf-8")
        else:
            _write_zip(pictures, path)

    def bounds(self, scene: Scene) -> dict[str, float]:
        """The largest error of what has one beforehand: scales, colours and SH depend on fitted codebooks.

        means: scene units per axis, at the far end of the scene · quats: degrees of rotation · opacities: 0..1.
        """
        return {"means": _position_error(scene), "quats": _QUAT_DEGREES, "opacities": 0.5 / 255}

    def losses(self, scene: Scene) -> list[str]:
        bound = self.bounds(scene)
        out = [
            "the order of the Gaussians changes",
            f"rounded: positions ±{bound['means']:.2g} units or less, rotations ±{bound['quats']:.1f}°, "
            "opacities ±0.002, scales and DC to one of 256 values each",
        ]
        if scene.splats.sh_degree:
            entries = palette_size(len(scene), self.palette)
            out.append(f"SH above degree 0 becomes one of {entries:,} sets of coefficients with 256 different values")
        ranges = (
            ("log scales", scene.splats.log_scales, LOG_SCALE_RANGE),
            ("SH coefficients", scene.splats.sh, SH_RANGE),
        )
        for name, array, limit in ranges:
            beyond = int((np.abs(array) > limit).sum())
            if beyond:
                out.append(f"{beyond:,} {name} beyond ±{limit:g} are clamped")
        if scene.splats.extras:
            out.append(f"extra columns are dropped: {', '.join(scene.splats.extras)}")
        return out


def _position_error(scene: Scene) -> float:
    """Half a step of 1/65535 of the range in the log domain, where a step is wider the further out it lies."""
    if not len(scene):
        return 0.0
    means = scene.in_frame(RDF).splats.means.astype(np.float64)
    logs = np.sign(means) * np.log1p(np.abs(means))
    half = 0.5 * (logs.max(axis=0) - logs.min(axis=0)) / 65535
    reach = np.abs(means).max(axis=0)
    return float(((1 + reach) * np.expm1(half) + 2.0**-24 * reach).max())


def _json(pictures: Pictures) -> str:
    return json.dumps(pictures.meta, separators=(",", ":"))


def _write_zip(pictures: Pictures, path: Path) -> None:
    """Stored, not deflated (WebP is packed already), and dated 1980, so that the same scene gives the same bytes."""
    members = {META: _json(pictures).encode(), **pictures.files}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, data in members.items():
            archive.writestr(zipfile.ZipInfo(name, _EPOCH), data)


def _scene(source: Source, log: EventLog) -> Scene:
    splats = read_splats(source, log)
    model: Model = "mip" if source.meta.get("antialias") is True else "3dgs"
    named = source.meta.get("model")
    if isinstance(named, str) and named in _MODELS:
        model = _MODELS[named]
    elif named is not None:
        log.warn(f"{source.path.name}: unknown splat model {named!r:.40} is read as 3DGS")
    return Scene(splats, RDF, model, {"sog_version": version_of(source)})
