"""The contract of a codec for radiance fields: as ``codecs.base.Codec``, with fields in place of scenes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from gscompress.container.chunk import Chunk
from gscompress.events import EventLog
from gscompress.field import Array, Field, Spec
from gscompress.field_statistics import Judge

Shapes = Mapping[str, tuple[str, tuple[int, ...]]]
"""Tensor name → (type, shape), in order: what HEAD says of the field, checked before anything is decoded."""


@dataclass(frozen=True, slots=True)
class FieldContext:
    """seed: of every random draw. judge: looks at pictures; without one, codecs spend bits by what the values say."""

    seed: int = 0
    log: EventLog = field(default_factory=EventLog)
    judge: Judge | None = None


class FieldCodec(ABC):
    """Field → chunks → field; a frozen dataclass whose fields are the stored config.

    quality: 0 (smallest) to 100 (best). handles: the kinds of fields that it codes.
    """

    name: ClassVar[str]
    version: ClassVar[int]
    cites: ClassVar[str] = ""
    kinds: ClassVar[frozenset[str]] = frozenset({"BASE"})
    handles: ClassVar[frozenset[str]]
    quality: float

    @property
    def aim(self) -> float:
        """Decibels of the decoded field's pictures against the original's that the quality stands for: 20 to 60."""
        return 20.0 + 0.4 * self.quality

    def prepare(self, field: Field, ctx: FieldContext) -> Field:
        """The field as HEAD describes it and ``encode`` gets it: with fewer rows when the codec prunes."""
        return field

    @abstractmethod
    def encode(self, field: Field, ctx: FieldContext) -> Iterator[Chunk]:
        """Yield chunks, coarse first. Same field, config, judge and seed: same bytes."""

    @abstractmethod
    def decode(self, spec: Spec, shapes: Shapes, chunks: Iterable[Chunk]) -> dict[str, Array]:
        """The tensors, of these shapes and types. No float decides a symbol. Raises UnreadableError."""
