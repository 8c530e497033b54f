"""A recipe: transforms, then a codec. Presets are recipes with a name."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from gscompress.codecs.base import Codec
from gscompress.config import from_config, parse_spec, to_config
from gscompress.context import Context
from gscompress.errors import UsageError
from gscompress.scene import Scene
from gscompress.transforms import TRANSFORMS
from gscompress.transforms.base import Transform


@dataclass(frozen=True, slots=True)
class Recipe:
    """name: what ``--preset`` calls it. description: one line for ``gscompress presets``."""

    name: str
    description: str
    transforms: tuple[Transform, ...]
    codec: Codec

    @property
    def needs(self) -> frozenset[str]:
        """What must be in the Context for it to run: what its codec or one of its transforms needs."""
        return self.codec.needs.union(*(getattr(t, "needs", frozenset()) for t in self.transforms))

    def prepare(self, scene: Scene, ctx: Context) -> Scene:
        """The scene after all transforms, as the codec gets it."""
        for transform in self.transforms:
            scene = transform(scene, ctx)
        return scene

    def with_options(self, **options: Any) -> Recipe:
        """The recipe with some of its codec's fields replaced. Raises UsageError when the codec has no such field."""
        known = {field.name for field in dataclasses.fields(self.codec)}  # type: ignore[arg-type]
        for option in options:
            if option not in known:
                raise UsageError(f"preset '{self.name}' has no {option} setting")
        return dataclasses.replace(self, codec=from_config(type(self.codec), to_config(self.codec) | options))

    def after(self, specs: Iterable[str]) -> Recipe:
        """The recipe as ``name:key=value`` specs want it: the codec's own name sets its fields, any other names a
        transform, which is put in front of the recipe's own. Raises UsageError."""
        parsed = [(spec, *parse_spec(spec)) for spec in specs]
        options = {key: value for _, name, given in parsed if name == self.codec.name for key, value in given.items()}
        transforms = parse_transforms(spec for spec, name, _ in parsed if name != self.codec.name)
        return dataclasses.replace(self.with_options(**options), transforms=(*transforms, *self.transforms))

    def to_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "transforms": [{"name": t.name, "config": to_config(t)} for t in self.transforms],
        }


def parse_transforms(specs: Iterable[str]) -> tuple[Transform, ...]:
    """The transforms that ``--do`` asks for, in order. Raises UsageError."""
    parsed = [parse_spec(spec) for spec in specs]
    return tuple(from_config(TRANSFORMS.get(name), options) for name, options in parsed)
