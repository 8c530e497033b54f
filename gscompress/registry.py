"""One generic name → object table, filled with lazy ``module:attribute`` references and entry points."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from importlib.metadata import entry_points
from typing import Generic, TypeVar, cast

from gscompress.errors import UsageError

T = TypeVar("T")


class Registry(Generic[T]):
    """Names to objects of one kind. Nothing is imported before it is asked for.

    ``kind`` is the singular noun for messages ("codec"); third parties add to it through the entry point
    group ``gscompress.<kind>s``.
    """

    def __init__(self, kind: str, builtin: dict[str, str]) -> None:
        self.kind = kind
        self._references = dict(builtin)
        self._loaded: dict[str, T] = {}
        self._plugins_seen = False

    def register(self, name: str, target: T) -> None:
        """Add or replace an entry at run time."""
        self._loaded[name] = target

    def names(self) -> list[str]:
        self._find_plugins()
        return sorted(self._references.keys() | self._loaded.keys())

    def __iter__(self) -> Iterator[str]:
        return iter(self.names())

    def __contains__(self, name: str) -> bool:
        return name in self.names()

    def get(self, name: str) -> T:
        """Return the object called ``name``. Raises UsageError listing the known names."""
        if name not in self._loaded:
            if name not in self._references:
                self._find_plugins()
            if name not in self._references:
                raise UsageError(f"unknown {self.kind} '{name}': choose from {', '.join(self.names())}")
            module, _, attribute = self._references[name].partition(":")
            self._loaded[name] = cast(T, getattr(import_module(module), attribute))
        return self._loaded[name]

    def _find_plugins(self) -> None:
        if not self._plugins_seen:
            self._plugins_seen = True
            for point in entry_points(group=f"gscompress.{self.kind}s"):
                self._references.setdefault(point.name, point.value)
