"""Compressed 3DGS: codebooks weighted by sensitivity, tuning with quantization in view, coding along a curve.

Niedermayr et al., "Compressed 3D Gaussian Splatting for Accelerated Novel View Synthesis" (CVPR 2024). A Gaussian's
sensitivity is how much the energy of all pictures changes with its parameters; Gaussians that no picture shows go, the
k-means of colours (all SH as one vector) and of shapes (covariances of unit size) are weighted by it, and the most
sensitive Gaussians keep values of their own. What comes behind is ours: the tree of positions and the context models
of the default codec instead of DEFLATE.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from gscompress.codecs.base import PHOTOS_OR_RENDERS, Codec
from gscompress.codecs.clusters import cluster
from gscompress.codecs.code_tables import (
    STEPS,
    by_popularity,
    columns,
    decode_codes,
    decode_indices,
    encode_codes,
    encode_indices,
    logits_of_levels,
    pack_info,
    padding,
    position_levels,
    unpack_info,
)
from gscompress.codecs.ellipsoids import from_covariances, in_one_form, unit_covariances
from gscompress.codecs.energy import measure
from gscompress.codecs.geometry import decode_one, encode_one
from gscompress.codecs.positions import Box, decode_fine, encode_coarse, encode_fine, order
from gscompress.codecs.shared_codes import SharedCodes
from gscompress.container.chunk import Chunk
from gscompress.context import Context
from gscompress.entropy.neighbours import nearest_earlier
from gscompress.entropy.octree import decode_tree
from gscompress.entropy.plane import Shape, Side
from gscompress.errors import UnreadableError, UsageError
from gscompress.recipe import Recipe
from gscompress.scene import Scene, Splats
from gscompress.transforms.clean import Clean
from gscompress.tune.checkpoint import resumable
from gscompress.tune.loop import fit
from gscompress.tune.splat_model import Rates, SplatModel
from gscompress.tune.targets import Target, targets

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]
_SIZES = Shape(columns=1, first_classes=1, second_classes=1, signed=True)


@dataclass(frozen=True)
class C3dgsCodec(Codec):
    """prune: share of the Gaussians that go first, those that show least in all pictures together; what no picture
    shows goes even with 0, which is the paper's rule.

    recover, updates: of the tuning after pruning and of that after clustering. colours, shapes: most codes of each.
    own: share of the Gaussians, the most sensitive ones, with a colour resp. shape of their own. weighted: whether
    k-means looks at sensitivities.
    """

    prune: float = 0.3
    recover: int = 500
    updates: int = 1000
    colours: int = 4096
    shapes: int = 4096
    own: float = 0.01
    weighted: bool = True

    name: ClassVar[str] = "c3dgs"
    version: ClassVar[int] = 1
    cites: ClassVar[str] = "Niedermayr et al. 2024, arXiv:2401.02436"
    kinds: ClassVar[frozenset[str]] = frozenset({"BASE"})

    def __post_init__(self) -> None:
        if min(self.recover, self.updates) < 0 or min(self.colours, self.shapes) < 1:
            raise UsageError("c3dgs: recover and updates must not be negative, colours and shapes at least 1")
        if not 0 <= self.prune < 1 or not 0 <= self.own <= 1:
            raise UsageError("c3dgs: prune and own are shares: from 0, prune to below 1, own to 1")

    @property
    def needs(self) -> frozenset[str]:
        return frozenset({"renderer", PHOTOS_OR_RENDERS})

    def encode(self, scene: Scene, ctx: Context) -> Iterator[Chunk]:
        scene = replace(scene, splats=in_one_form(scene.splats))
        views = targets(scene, ctx) if ctx.renderer is not None and len(scene) else []
        colour, shape = np.ones((2, len(scene)))
        if views:
            how = {"prune": self.prune, "recover": self.recover}
            scene = resumable(ctx, "c3dgs-recovered", how, scene, lambda: self._recovered(scene, views, ctx))
            energy = measure(scene, ctx)
            colour, shape = energy.colour, energy.shape
        model = self._clustered(scene, colour, shape, ctx.seed)
        if views:
            fit(model, views, ctx, self.updates, title="Tuning codes")
        yield Chunk("BASE", 0, _streams(model, scene.splats.sh_degree))

    def _recovered(self, scene: Scene, views: list[Target], ctx: Context) -> Scene:
        """What pictures show, tuned without the rest."""
        shown = measure(scene, ctx).shown
        order = np.argsort(shown, kind="stable")[round(self.prune * len(scene)) :]
        keep = np.sort(order[shown[order] > 0])
        if not len(keep):
            return scene
        ctx.log.info(f"{len(scene) - len(keep):,} of {len(scene):,} Gaussians dropped, which pictures hardly show")
        model = SplatModel(replace(scene, splats=scene.splats.take(keep)), Rates())
        fit(model, views, ctx, self.recover, title="Recovering from pruning")
        recovered = model.scene()
        return replace(recovered, splats=in_one_form(recovered.splats))

    def _clustered(self, scene: Scene, colour: F64, shape: F64, seed: int) -> SharedCodes:
        splats, rates = scene.splats, Rates()
        flat = splats.sh.reshape(len(splats), splats.sh.shape[1] * 3)
        covariances, size = unit_covariances(splats.log_scales, splats.quats)
        colours, which_colour = self._codebook(flat, self.colours, colour, seed)
        shapes, which_shape = self._codebook(covariances, self.shapes, shape, seed)
        return SharedCodes(
            scene,
            size.astype(np.float32),
            colours.reshape(len(colours), *splats.sh.shape[1:]),
            from_covariances(shapes),
            which_colour,
            which_shape,
            rates,
        )

    def _codebook(self, values: F32, most: int, sensitivity: F64, seed: int) -> tuple[F32, I64]:
        """Codes and indices: k-means, and behind them the values of the Gaussians that keep their own."""
        own = np.argsort(-sensitivity, kind="stable")[: round(self.own * len(values))]
        shared = np.setdiff1d(np.arange(len(values)), own)
        weights = sensitivity / sensitivity.mean() if self.weighted and len(values) else None
        codes, which = cluster(values[shared], most, seed, None if weights is None else weights[shared])
        indices = np.empty(len(values), np.int64)
        indices[shared], indices[own] = which, len(codes) + np.arange(len(own))
        return np.concatenate([codes, values[own]]), indices

    def decode(self, chunks: Iterable[Chunk]) -> Iterator[Scene]:
        for chunk in chunks:
            yield Scene(_splats(chunk.streams))


def _streams(model: SharedCodes, degree: int) -> dict[str, bytes]:
    box, (dc, sh), (scales, quats) = Box.around(model.means), model.colours(), model.shapes()
    rows = order(box, model.means)
    means, levels = model.means[rows], position_levels(box, model.scene().splats)
    tree, coarse, known = encode_coarse(box, means)
    near = nearest_earlier(coarse)
    colours, colour = by_popularity(np.hstack([dc, sh])[model.colour[rows]])
    shapes, shape = by_popularity(np.hstack([scales, quats])[model.shape[rows]])
    size = np.rint(model.size()[rows] / STEPS["size"]).astype(np.int64)
    typical = int(np.median(size)) if len(size) else 0
    streams = {
        "info": pack_info(len(rows), degree, levels),
        "box": box.pack(),
        "position.tree": tree,
        "position.fine": encode_fine(box, means, known, np.full(len(rows), levels)),
        "opacity": encode_indices(model.levels()[rows], near),
        "size": struct.pack("<i", typical) + encode_one(_SIZES, size[:, None] - typical, Side(near=near)),
        "colour": encode_indices(colour),
        "shape": encode_indices(shape),
        "dc.codes": encode_codes(colours[:, :3], "dc"),
        "scale.codes": encode_codes(shapes[:, :3], "scale"),
        "rotation.codes": encode_codes(shapes[:, 3:], "rotation"),
    }
    if degree:
        streams["sh.codes"] = encode_codes(colours[:, 3:], "sh")
    return streams | padding(len(rows), streams)


def _splats(streams: Mapping[str, bytes]) -> Splats:
    """Raises UnreadableError, KeyError for a missing stream."""
    rows, degree, levels = unpack_info(streams)
    box = Box.unpack(streams["box"])
    coarse, known = decode_tree(streams["position.tree"], rows)
    near = nearest_earlier(coarse)
    means = decode_fine(box, streams["position.fine"], coarse, known, np.full(rows, levels, np.int64))
    codes = {name: decode_codes(streams[f"{name}.codes"], width, name) for name, width in columns(degree).items()}
    pairs = {("dc", "sh"): "colour", ("scale", "rotation"): "shape"}
    found = dict[str, F32]()
    for names, stream in pairs.items():
        tables = [codes[name] for name in names if name in codes]
        if len({len(table) for table in tables}) != 1:
            raise UnreadableError("two halves of a codebook differ in length: the file is corrupt")
        index = decode_indices(streams[stream], rows, len(tables[0]))
        found |= {name: codes[name][index] for name in names if name in codes}
    typical = int.from_bytes(streams["size"][:4], "little", signed=True)
    size = decode_one(_SIZES, streams["size"][4:], rows, Side(near=near))[:, 0] + typical
    # e^60 scene units is beyond any scene; the bound keeps what follows finite for corrupt input.
    scales = np.clip(found["scale"] + (size * STEPS["size"]).astype(np.float32)[:, None], -60.0, 60.0)
    logits = logits_of_levels(decode_indices(streams["opacity"], rows, 256, near))
    sh = np.concatenate([found[name] for name in ("dc", "sh") if name in found], axis=1)
    return Splats(means, scales, found["rotation"], logits, sh.reshape(rows, (degree + 1) ** 2, 3))


C3DGS = Recipe(
    "c3dgs",
    "Niedermayr et al. 2024: codebooks weighted by sensitivity, then tuned",
    (Clean(),),
    C3dgsCodec(),
)
