"""Codecs by name. Third parties add theirs through the entry point group ``gscompress.peers``."""

from __future__ import annotations

from gscompress.bench.peers.base import Peer
from gscompress.registry import Registry

_HERE = "gscompress.bench.peers"
PEERS: Registry[type[Peer]] = Registry(
    "peer",
    {
        "default": f"{_HERE}.presets:Default",
        "fast": f"{_HERE}.presets:Fast",
        "small": f"{_HERE}.presets:Small",
        "progressive": f"{_HERE}.presets:Progressive",
        "lossless": f"{_HERE}.presets:Lossless",
        "spz": f"{_HERE}.spz:Spz",
        "sog": f"{_HERE}.sog:Sog",
        "gsplat_png": f"{_HERE}.gsplat_png:GsplatPng",
        "compressed_ply": f"{_HERE}.compressed_ply:CompressedPly",
        "splat": f"{_HERE}.splat:Splat",
        "ksplat": f"{_HERE}.ksplat:Ksplat",
        "st_sog": f"{_HERE}.splat_transform:TransformSog",
        "st_spz": f"{_HERE}.splat_transform:TransformSpz",
        "st_compressed_ply": f"{_HERE}.splat_transform:TransformCompressedPly",
        "gsply_spz": f"{_HERE}.gsply:GsplySpz",
        "niantic_spz": f"{_HERE}.niantic:NianticSpz",
        "draco": f"{_HERE}.draco:Draco",
        "zstd": f"{_HERE}.general:Zstd",
        "xz": f"{_HERE}.general:Xz",
        "brotli": f"{_HERE}.general:Brotli",
    },
)
USUAL = ("default", "fast", "spz", "sog", "compressed_ply", "splat")
"""What runs when no codecs are named: everything that is quick and needs nothing else."""


def ordered() -> list[str]:
    """All names, in the order in which tables show them: ours, then formats, then other programs, then plugins."""
    known = PEERS.names()
    first = [name for name in _ORDER if name in known]
    return first + [name for name in known if name not in first]


_ORDER = (
    *("default", "fast", "small", "progressive", "lossless", "spz", "sog", "gsplat_png", "compressed_ply", "splat"),
    *("st_spz", "st_sog", "st_compressed_ply", "gsply_spz", "niantic_spz", "ksplat", "draco", "zstd", "xz", "brotli"),
)
