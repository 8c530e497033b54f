"""Compact3D (CompGS): fewer Gaussians by paying for opacity, then k-means codebooks trained in the loop.

Navaneet et al., "CompGS: Smaller and Faster Gaussian Splatting with Vector Quantization" (ECCV 2024): a price on
opacity makes the Gaussians fade that the picture can do without, they are dropped, and DC, higher SH, scales and
rotations each come from a codebook that is trained with the picture in view. Gaussians are sorted by the rotation's
index, of which only run lengths are stored; positions have 16 bits per axis and opacities 8.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from gscompress.codecs.base import PHOTOS_OR_RENDERS, Codec
from gscompress.codecs.code_tables import (
    by_popularity,
    columns,
    decode_codes,
    decode_indices,
    decode_runs,
    encode_codes,
    encode_indices,
    encode_runs,
    logits_of_levels,
    opacity_levels,
    pack_info,
    padding,
    position_levels,
    unpack_info,
)
from gscompress.codecs.ellipsoids import in_one_form
from gscompress.codecs.positions import Box, decode_fine, encode_fine
from gscompress.codecs.straight_through import Clustered, Faint, columns_of, with_columns
from gscompress.config import to_config
from gscompress.container.chunk import Chunk
from gscompress.context import Context
from gscompress.errors import UsageError
from gscompress.recipe import Recipe
from gscompress.scene import Scene, Splats
from gscompress.transforms.clean import Clean
from gscompress.tune.checkpoint import resumable
from gscompress.tune.loop import fit
from gscompress.tune.splat_model import Rates
from gscompress.tune.targets import Target, targets

F32 = npt.NDArray[np.float32]
_FAINT = 0.005  # opacity under which a Gaussian is dropped, as in the paper
_SHARES = (0.4, 0.4, 0.2)  # of the updates: paying for opacity, clustering, with clusters fixed


@dataclass(frozen=True)
class Compact3dCodec(Codec):
    """updates: of all three phases together; 0 clusters the scene as it is.

    opacity: price of the mean opacity, in units of the loss. codes, sh_codes: most codes of DC, scale and rotation,
    and of higher SH. every: updates between two assignments.
    """

    updates: int = 1800
    opacity: float = 0.6
    codes: int = 4096
    sh_codes: int = 4096
    every: int = 100

    name: ClassVar[str] = "compact3d"
    version: ClassVar[int] = 1
    cites: ClassVar[str] = "Navaneet et al. 2024, arXiv:2311.18159"
    kinds: ClassVar[frozenset[str]] = frozenset({"BASE"})

    def __post_init__(self) -> None:
        if self.updates < 0 or self.opacity < 0 or min(self.codes, self.sh_codes, self.every) < 1:
            raise UsageError("compact3d: updates and opacity must not be negative, codes and every at least 1")

    @property
    def needs(self) -> frozenset[str]:
        return frozenset({"renderer", PHOTOS_OR_RENDERS})

    def encode(self, scene: Scene, ctx: Context) -> Iterator[Chunk]:
        scene = replace(scene, splats=in_one_form(scene.splats))
        views = targets(scene, ctx) if self.updates and ctx.renderer is not None and len(scene) else []
        how = to_config(self)
        if views:
            scene = resumable(ctx, "compact3d-faded", how, scene, lambda: self._faded(scene, views, ctx))
        coded = resumable(ctx, "compact3d-coded", how, scene, lambda: self._coded(scene, views, ctx))
        yield Chunk("BASE", 0, _streams(coded.splats))

    def _faded(self, scene: Scene, views: list[Target], ctx: Context) -> Scene:
        """The Gaussians that are worth the price of their opacity."""
        model = Faint(scene, Rates(logit_opacities=0.05), self.opacity)
        fit(model, views, ctx, round(_SHARES[0] * self.updates), title="Fading Gaussians")
        faded = model.scene()
        keep = faded.splats.logit_opacities > np.log(_FAINT / (1 - _FAINT))
        if not keep.any():
            raise UsageError(f"all Gaussians faded away at an opacity price of {self.opacity:g}: lower it")
        ctx.log.info(f"{len(scene) - np.count_nonzero(keep):,} of {len(scene):,} Gaussians faded away")
        return replace(faded, splats=in_one_form(faded.splats.take(keep)))

    def _coded(self, scene: Scene, views: list[Target], ctx: Context) -> Scene:
        """The scene as its codebooks show it."""
        sizes = {"dc": self.codes, "scale": self.codes, "rotation": self.codes, "sh": self.sh_codes}
        model = Clustered(scene, Rates(), sizes, self.every, ctx.seed)
        if views:
            fit(model, views, ctx, round(_SHARES[1] * self.updates), title="Training codebooks")
            model.freeze()
            fit(model, views, ctx, round(_SHARES[2] * self.updates), title="Training codebooks, clusters fixed")
        return model.scene()

    def decode(self, chunks: Iterable[Chunk]) -> Iterator[Scene]:
        for chunk in chunks:
            yield Scene(_splats(chunk.streams))


def _streams(splats: Splats) -> dict[str, bytes]:
    """The codebooks are the distinct rows of each attribute."""
    tables = {name: by_popularity(values) for name, values in columns_of(splats).items()}
    box = Box.around(splats.means)
    levels = position_levels(box, splats)
    order = np.lexsort((*box.to_grid(splats.means).T, tables["rotation"][1]))
    nothing = np.zeros(len(splats), np.int64)
    streams = {
        "info": pack_info(len(splats), splats.sh_degree, levels),
        "box": box.pack(),
        "position": encode_fine(box, splats.means[order], nothing, nothing + levels),
        "opacity": encode_indices(opacity_levels(splats.logit_opacities)[order]),
    }
    for name, (codes, indices) in tables.items():
        coded = encode_runs(indices, len(codes)) if name == "rotation" else encode_indices(indices[order])
        streams |= {f"{name}.codes": encode_codes(codes, name), name: coded}
    return streams | padding(len(splats), streams)


def _splats(streams: Mapping[str, bytes]) -> Splats:
    """Raises UnreadableError, KeyError for a missing stream."""
    rows, degree, levels = unpack_info(streams)
    box, nothing = Box.unpack(streams["box"]), np.zeros(rows, np.int64)
    means = decode_fine(box, streams["position"], np.zeros((rows, 3), np.int64), nothing, nothing + levels)
    found = dict[str, F32]()
    for name, width in columns(degree).items() if rows else ():
        codes = decode_codes(streams[f"{name}.codes"], width, name)
        decode = decode_runs if name == "rotation" else decode_indices
        found[name] = codes[decode(streams[name], rows, len(codes))]
    logits = logits_of_levels(decode_indices(streams["opacity"], rows, 256))
    empty = np.zeros((rows, (degree + 1) ** 2, 3), np.float32)
    return with_columns(Splats(means, empty[:, 0], np.zeros((rows, 4), np.float32), logits, empty), found)


COMPACT3D = Recipe(
    "compact3d",
    "CompGS (Navaneet et al. 2024): opacity price, codebooks trained in the loop",
    (Clean(),),
    Compact3dCodec(),
)
