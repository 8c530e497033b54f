"""Sequences of scenes as streams: key frames, residual frames, groups of pictures, and the ways they travel."""

from __future__ import annotations

from gscompress.registry import Registry
from gscompress.stream.base import FrameCodec

_HERE = "gscompress.stream"
STREAM_CODECS: Registry[type[FrameCodec]] = Registry(
    "stream_codec",
    {
        "stream": f"{_HERE}.ours:StreamCodec",
        "queen": f"{_HERE}.queen:QueenCodec",
        "intra": f"{_HERE}.intra:IntraCodec",
    },
)
"""Codecs of frames by name."""
