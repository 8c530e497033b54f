"""Field codecs by name, and which one a kind of field gets by default."""

from __future__ import annotations

from gscompress.codecs.field_codec import FieldCodec
from gscompress.errors import UsageError
from gscompress.field import Field
from gscompress.registry import Registry

_HERE = "gscompress.codecs"
FIELD_CODECS: Registry[type[FieldCodec]] = Registry(
    "field_codec",
    {
        "mlp": f"{_HERE}.mlp:MlpCodec",
        "voxels": f"{_HERE}.voxels:VoxelsCodec",
        "feature_voxels": f"{_HERE}.feature_voxels:FeatureVoxelsCodec",
        "hash_grid": f"{_HERE}.hash_grid:HashGridCodec",
        "planes": f"{_HERE}.planes:PlanesCodec",
    },
)


def codec_for(field: Field, name: str = "default") -> FieldCodec:
    """The codec of that name, or the one for the field's kind. Raises UsageError."""
    if name != "default":
        codec = FIELD_CODECS.get(name)()
        if field.spec.kind not in codec.handles:
            raise UsageError(f"the field codec '{name}' does not handle {field.spec.kind} fields")
        return codec
    for candidate in FIELD_CODECS:
        if field.spec.kind in FIELD_CODECS.get(candidate).handles:
            return FIELD_CODECS.get(candidate)()
    raise UsageError(f"there is no codec for {field.spec.kind} fields")
