"""The noun of radiance fields: named arrays, and a spec that says what they are (MLP, hash grid, planes, voxels)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from gscompress.errors import UsageError

Array = npt.NDArray[Any]
Kind = Literal["mlp", "hash_grid", "planes", "voxels", "feature_voxels"]
KINDS: tuple[str, ...] = get_args(Kind)
_TYPES = ("float32", "bool", "int32")


@dataclass(frozen=True, slots=True)
class Spec:
    """What the arrays of a field are.

    kind: the family, which decides codec and renderer. source: the layout that the field was read from, which decides
    how it is written back ("nerf-pytorch", "nerfacto", …). geometry: JSON-able facts of that kind (frequencies, grid
    resolutions, box, near and far, samples per ray …); ``docs/fields.md`` lists them.
    """

    kind: Kind
    source: str
    geometry: Mapping[str, Any]

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise UsageError(f"a field is one of {', '.join(KINDS)}, not '{self.kind}'")


@dataclass(frozen=True, slots=True)
class Field:
    """A radiance field: what a NeRF trainer stores, without its optimiser.

    tensors: name → array, float32 (weights, features), bool (occupancy) or int32; never mutated. Names are those of
    the kind, not of the software. meta: JSON-able facts that travel along (training step …).
    """

    tensors: Mapping[str, Array]
    spec: Spec
    meta: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, array in self.tensors.items():
            if array.dtype.name not in _TYPES:
                raise UsageError(f"field tensor {name!r} is {array.dtype}, expected one of {', '.join(_TYPES)}")

    @property
    def weights(self) -> int:
        """Floats in the field."""
        return sum(a.size for a in self.tensors.values() if a.dtype == np.float32)

    @property
    def nbytes(self) -> int:
        """Bytes of all tensors in memory; float32 ones are what compression is measured against."""
        return sum(a.nbytes for a in self.tensors.values())
