"""How much the parts of a field matter to its pictures: what renderers measure and codecs spend bits by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from gscompress.events import EventLog
from gscompress.field import Array, Field

F64 = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Statistics:
    """All per pixel value: an error e of the parameters costs e^T H e in mean squared error of the pictures.

    moments: layer → H of one mean row, (in, in), with the bias as a last column where the layer has one. rows: layer →
    (out,) how much more than the mean each row weighs. squares: any other tensor → the diagonal of H, of its shape.
    """

    moments: Mapping[str, F64]
    rows: Mapping[str, F64]
    squares: Mapping[str, F64]


class Judge(Protocol):
    """Looks at a field's pictures for a codec, which itself knows no renderer (``renderers.field_judge`` is one)."""

    def statistics(self, field: Field, log: EventLog | None = None, rays: int | None = None) -> Statistics:
        """Measure what matters, with fewer rays than usual if told so."""
        ...

    def squared_error(self, original: Field, decoded: Field) -> float:
        """Mean squared difference of the pictures."""
        ...

    def lost(self, original: Field, decoded: Field) -> float:
        """The same, or with photos how much more the decoded field's pictures differ from them (may be negative)."""
        ...

    def refine(
        self, field: Field, steps: Mapping[str, Array], price: float, seconds: float, log: EventLog | None = None
    ) -> Field:
        """The field trained further: same pictures, fewer bits. steps: table → (levels,) step of every level.

        price: squared error that a bit is worth. Tables come back rounded.
        """
        ...
