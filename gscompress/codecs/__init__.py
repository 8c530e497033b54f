"""Codecs by name."""

from __future__ import annotations

from gscompress.codecs.base import Codec
from gscompress.registry import Registry

CODECS: Registry[type[Codec]] = Registry("codec", {})
