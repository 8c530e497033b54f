"""``.sog``, the format of PlayCanvas: lossless WebP pictures and a ``meta.json``, zipped or in a folder.

The numbers are those of the .ply that a file was made from: splat-transform, which defines the format in practice,
turns nothing in between, whatever its prose says about axes. They are therefore taken as right-down-forward.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from gscompress.events import EventLog
from gscompress.formats.base import Format
from gscompress.formats.bundle import ZIP, FolderBundle, open_zip, zip_has
from gscompress.formats.sog_read import META, Source, read_source, read_splats, version_of
from gscompress.frame import RDF
from gscompress.scene import Model, Scene

_MODELS: dict[object, Model] = {"default": "3dgs", "antialiased": "mip", "2dgs": "2dgs"}


@dataclass(frozen=True)
class SogFormat(Format):
    """Reads versions 1 and 2."""

    name = "sog"
    suffixes = (".sog", META)

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


def _scene(source: Source, log: EventLog) -> Scene:
    splats = read_splats(source, log)
    model: Model = "mip" if source.meta.get("antialias") is True else "3dgs"
    named = source.meta.get("model")
    if isinstance(named, str) and named in _MODELS:
        model = _MODELS[named]
    elif named is not None:
        log.warn(f"{source.path.name}: unknown splat model {named!r} is read as 3DGS")
    return Scene(splats, RDF, model, {"sog_version": version_of(source)})
