"""Compact 3D Gaussian Representation: a learned mask, a colour field in place of SH, residual codes for shape.

Written from the paper (Lee et al., CVPR 2024); docs/codecs/compact-3dgs.md says where this departs from it and why. The
decoder bakes the field to SH, so that what comes out is a scene that every viewer opens.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from gscompress.codecs.base import PHOTOS_OR_RENDERS, Codec
from gscompress.codecs.compact_mask import MaskModel
from gscompress.codecs.compact_model import CompactModel
from gscompress.codecs.compact_store import (
    Levels,
    ResidualCodes,
    decode_positions,
    encode_positions,
    from_halves,
    position_order,
    unit,
)
from gscompress.codecs.ellipsoids import in_one_form
from gscompress.codecs.field import Domain, Weights, bake
from gscompress.codecs.field_grid import resolutions
from gscompress.codecs.field_store import MOST_ENTRIES, MOST_LEVELS, MOST_WIDTH, StoredField
from gscompress.codecs.field_tune import FieldFit, Sightings, distil
from gscompress.container.chunk import Chunk
from gscompress.context import Context
from gscompress.errors import UnreadableError, UsageError
from gscompress.recipe import Recipe
from gscompress.scene import Scene, Splats
from gscompress.transforms.clean import Clean
from gscompress.tune.checkpoint import resumable, resumable_arrays
from gscompress.tune.loop import fit
from gscompress.tune.splat_model import Rates
from gscompress.tune.targets import Target, targets

Array = npt.NDArray[Any]
_COARSEST = 16  # cells per axis of the first level
_BATCH = 16384  # Gaussians per step of distillation
_TUNED = Rates(0.02, 6e-3, 2e-3, 2e-2)
_LOGITS = (-6.0, 12.0)  # opacities of 0.2 % and less are invisible, beyond the other end they are all one
_GEOMETRY = ("means", "log_scales", "quats", "logit_opacities")
_FIELD = ("table", "w1", "view", "w2", "bias")
_INFO = struct.Struct("<IB")  # Gaussians, SH degree
_FREE_ROWS, _ROWS_PER_BYTE = 1 << 20, 64  # a reader refuses a file with more Gaussians


@dataclass(frozen=True)
class Compact3dgsCodec(Codec):
    """mask: weight of the mask's loss, 0 for no mask.

    masking, joint, settle: updates with the mask, with the field, and after scales and rotations have got their codes;
    distil: steps that fit the field to SH in between. levels, finest, hidden: the field's grid levels, cells per axis
    of the finest one, hidden values. table: entries per level and Gaussian, rounded to a power of two. step: what
    entries are rounded to. stages, codes: of the residual codes.
    """

    mask: float = 0.025
    masking: int = 700
    distil: int = 600
    joint: int = 1400
    settle: int = 500
    levels: int = 16
    table: float = 0.6
    finest: int = 4096
    hidden: int = 64
    step: float = 0.125
    stages: int = 6
    codes: int = 64

    name: ClassVar[str] = "compact-3dgs"
    version: ClassVar[int] = 1
    cites: ClassVar[str] = (
        "Lee et al., Compact 3D Gaussian Representation for Radiance Field, CVPR 2024, arXiv 2311.13681"
    )
    kinds: ClassVar[frozenset[str]] = frozenset({"BASE"})

    def __post_init__(self) -> None:
        if not (1 <= self.levels <= MOST_LEVELS and 0 < self.table <= 100):
            raise UsageError(f"compact-3dgs: levels must be 1 to {MOST_LEVELS}, table above 0 and at most 100")
        if not (_COARSEST <= self.finest <= 1 << 19 and 1 <= self.hidden <= MOST_WIDTH and 1e-4 <= self.step <= 1):
            raise UsageError("compact-3dgs: finest must be 16 to 524288, hidden 1 to 256, step 0.0001 to 1")
        if not (1 <= self.stages <= 16 and 2 <= self.codes <= 256 and 0 <= self.mask <= 10):
            raise UsageError("compact-3dgs: stages must be 1 to 16, codes 2 to 256, mask 0 to 10")
        if min(self.masking, self.distil, self.joint, self.settle) < 0:
            raise UsageError("compact-3dgs: masking, distil, joint and settle are numbers of updates, 0 or more")

    @property
    def needs(self) -> frozenset[str]:
        return frozenset({"renderer", PHOTOS_OR_RENDERS})

    def encode(self, scene: Scene, ctx: Context) -> Iterator[Chunk]:
        if not len(scene):
            yield Chunk("BASE", 0, {"info": _INFO.pack(0, scene.splats.sh_degree)})
            return
        goals = targets(scene, ctx)
        how = {"mask": self.mask, "steps": self.masking}
        kept = resumable(ctx, "compact-3dgs-masked", how, scene, lambda: self._masked(scene, goals, ctx))
        names = ("distil", "joint", "levels", "table", "finest", "hidden", "step")
        how = {name: getattr(self, name) for name in names}
        tuned = resumable_arrays(
            ctx, "compact-3dgs-joint", how, kept, _GEOMETRY + _FIELD, lambda: self._tuned(kept, goals, ctx)
        )
        model = self._quantized(kept, tuned, ctx)
        fit(model, goals, ctx, self.settle, title="Tuning codes and colour field")
        yield Chunk("BASE", 0, self._streams(model, kept.splats.sh_degree))

    def _masked(self, scene: Scene, goals: Sequence[Target], ctx: Context) -> Scene:
        model = MaskModel(scene, self.mask)
        fit(model, goals, ctx, self.masking, title="Learning the mask")
        kept = model.scene()
        ctx.log.info(f"the mask keeps {len(kept):,} of {len(scene):,} Gaussians")
        return replace(kept, splats=in_one_form(kept.splats))

    def _domain(self, scene: Scene) -> Domain:
        return Domain.around(scene.splats.means, resolutions(self.levels, _COARSEST, self.finest))

    def _tuned(self, scene: Scene, goals: Sequence[Target], ctx: Context) -> dict[str, Array]:
        """Gaussians and field after joint tuning, by the names of ``_GEOMETRY`` and ``_FIELD``."""
        model = CompactModel(scene, self._field(scene, ctx), _TUNED)
        fit(model, goals, ctx, self.joint, title="Tuning Gaussians and colour field")
        splats, weights = model.exact(), model.field.exact
        geometry = {name: getattr(splats, name) for name in _GEOMETRY}
        return geometry | {name: getattr(weights, name) for name in _FIELD}

    def _field(self, scene: Scene, ctx: Context) -> FieldFit:
        """A field that has been fitted to the colours of ``scene``."""
        entries = 1 << round(np.log2(max(self.table * len(scene), 2)))
        entries = min(entries, MOST_ENTRIES // MOST_LEVELS)
        start = Weights.fresh(self.levels, entries, self.hidden, np.random.default_rng(ctx.seed))
        field = FieldFit(start, self._domain(scene), self.step)
        sightings = Sightings.of(scene, ctx)
        with ctx.log.phase("Fitting the colour field", self.distil) as tick:
            distil(field, scene, sightings, self.distil, _BATCH, ctx.seed, tick)
        return field

    def _quantized(self, scene: Scene, tuned: Mapping[str, Array], ctx: Context) -> CompactModel:
        """The tuned model with residual codes and levels. ``scene`` is the one that the field lies around."""
        means, log_scales, quats, logits = (tuned[name] for name in _GEOMETRY)
        colours = np.zeros((len(scene), (scene.splats.sh_degree + 1) ** 2, 3), np.float32)
        splats = in_one_form(Splats(means, log_scales, quats, logits, colours))
        field = FieldFit(Weights(*(tuned[name] for name in _FIELD)), self._domain(scene), self.step)
        model = CompactModel(replace(scene, splats=splats), field, _TUNED)
        with ctx.log.phase("Residual vector quantization"):
            scales, rotations = (
                ResidualCodes.fit(values, self.stages, self.codes, ctx.seed)
                for values in (splats.log_scales, splats.quats)
            )
        model.quantize(scales, rotations, Levels.spanning(logits, *_LOGITS))
        return model

    def _streams(self, model: CompactModel, degree: int) -> dict[str, bytes]:
        halves, levels = model.halves(), model.levels
        assert model.codes is not None
        assert levels is not None
        order = position_order(halves)
        scales, rotations = (replace(each.now(), indices=each.now().indices[order]).encode() for each in model.codes)
        return {
            "info": _INFO.pack(len(halves), degree),
            **encode_positions(halves[order]),
            "opacity": levels.encode(model.opacities()[order]),
            "scale.codes": scales[0],
            "scale": scales[1],
            "rotation.codes": rotations[0],
            "rotation": rotations[1],
            **model.field.stored().pack(),
        }

    def decode(self, chunks: Iterable[Chunk]) -> Iterator[Scene]:
        for chunk in chunks:
            yield Scene(_decoded(chunk.streams))


def _decoded(streams: Mapping[str, bytes]) -> Splats:
    """Raises UnreadableError, KeyError for a missing stream."""
    rows, degree = _INFO.unpack(streams["info"])
    if degree > 3 or rows > _FREE_ROWS + _ROWS_PER_BYTE * sum(map(len, streams.values())):
        raise UnreadableError(f"claims {rows:,} Gaussians with SH of degree {degree}: the file is corrupt")
    bands = (degree + 1) ** 2
    if not rows:
        nothing = np.zeros((0, 4), np.float32)
        return Splats(nothing[:, :3], nothing[:, :3], nothing, nothing[:, 0], np.zeros((0, bands, 3), np.float32))
    field = StoredField.unpack(streams)
    means = from_halves(decode_positions(streams, rows), field.domain.centre)
    levels, opacities = Levels.unpack(streams["opacity"], rows)
    scales = ResidualCodes.unpack(streams["scale.codes"], streams["scale"], rows, 3).decode()
    quats = ResidualCodes.unpack(streams["rotation.codes"], streams["rotation"], rows, 4).decode()
    colours = bake(field.domain.cube(means), field.domain.cells, field.weights()).sh
    return Splats(means, scales, unit(quats), levels.decode(opacities), np.ascontiguousarray(colours[:, :bands]))


COMPACT_3DGS = Recipe(
    "compact-3dgs",
    "learned mask, colour from a hash grid and a small network, residual codes for shape (Lee et al. 2024)",
    (Clean(),),
    Compact3dgsCodec(),
)
