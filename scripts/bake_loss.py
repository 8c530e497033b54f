"""What baking the colour field of a compact-3dgs file to SH changes, on held-out photos.

    python scripts/bake_loss.py FILE.gscz PHOTOS

The field can be asked for the colour of every Gaussian in the very direction of a view; the decoder fits SH to it
over the whole sphere. Both are rendered and compared with the photos, and with each other.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from gscompress import sh
from gscompress.camera import Camera
from gscompress.cli.views import in_axes_of
from gscompress.codecs import field, gscz
from gscompress.codecs.field_store import StoredField
from gscompress.container.reader import Reader
from gscompress.datasets import load_views
from gscompress.events import EventLog
from gscompress.metrics import psnr
from gscompress.renderers.cpu import CpuRenderer
from gscompress.scene import Scene


def main() -> None:
    path, photos = Path(sys.argv[1]), Path(sys.argv[2])
    reader = Reader.open(path)
    scene = gscz.decode_last(reader, EventLog())
    (chunk,) = reader.chunks(frozenset({"BASE"}))
    stored = StoredField.unpack(chunk.streams)
    weights = stored.weights()
    features = field.bake(stored.domain.cube(scene.splats.means), stored.domain.cells, weights).features
    renderer, scores = CpuRenderer(), []
    views = [view for view in load_views(photos) if view.split == "test"]
    for view, camera in zip(views, in_axes_of(scene, [view.camera for view in views])):
        baked = np.clip(renderer.render(scene, camera).rgb, 0, 1)
        direct = np.clip(renderer.render(seen_from(scene, camera, features, weights), camera).rgb, 0, 1)
        photo = view.image / np.float32(255)
        scores.append([psnr(baked, photo), psnr(direct, photo), psnr(baked, direct)])
    means = np.mean(scores, axis=0)
    print(
        f"photo PSNR: baked {means[0]:.3f} dB, field asked directly {means[1]:.3f} dB; to each other {means[2]:.2f} dB"
    )


def seen_from(scene: Scene, camera: Camera, features: Any, weights: field.Weights) -> Scene:
    """The scene with the field's colours in the directions of one camera, as SH of degree 0."""
    away = scene.splats.means - camera.position
    away /= np.linalg.norm(away, axis=1, keepdims=True)
    colours = np.empty((len(away), 1, 3), np.float32)
    for start in range(0, len(away), 8192):
        rows = slice(start, start + 8192)
        hidden = features[rows] @ weights.w1 + sh.basis(away[rows], 3).astype(np.float32) @ weights.view
        colours[rows, 0] = (np.maximum(hidden, 0) @ weights.w2 + weights.bias) / sh.C0
    return replace(scene, splats=replace(scene.splats, sh=colours))


if __name__ == "__main__":
    main()
