"""Frozen dataclasses as configuration: the fields of an object are its JSON, its CLI flags and its repr.

Law (tested for every codec and transform): ``from_config(type(x), to_config(x)) == x``.
"""

from __future__ import annotations

import dataclasses
import typing
from typing import Any, TypeVar

from gscompress.errors import UsageError

T = TypeVar("T")


def to_config(obj: Any) -> dict[str, Any]:
    """The fields of a frozen dataclass as plain JSON values."""
    return dataclasses.asdict(obj)


def from_config(cls: type[T], config: dict[str, Any]) -> T:
    """Build ``cls`` from its config, checking names and types. Raises UsageError."""
    hints = typing.get_type_hints(cls)
    fields = {f.name: hints[f.name] for f in dataclasses.fields(cls) if f.init}  # type: ignore[arg-type]
    for key in config:
        if key not in fields:
            known = ", ".join(fields) or "none"
            raise UsageError(f"{cls.__name__.lower()} has no option '{key}': known options are {known}")
    return cls(**{key: _coerce(value, fields[key], f"{cls.__name__.lower()}:{key}") for key, value in config.items()})


def parse_spec(spec: str) -> tuple[str, dict[str, str]]:
    """Split ``name:key=value,key=value`` (the argument of ``--do``). Raises UsageError."""
    name, _, rest = spec.partition(":")
    options: dict[str, str] = {}
    for part in filter(None, rest.split(",")):
        key, equals, value = part.partition("=")
        if not equals or not key:
            raise UsageError(f"'{spec}' is not of the form name:key=value,key=value")
        options[key.strip()] = value.strip()
    if not name:
        raise UsageError(f"'{spec}' has no name before the colon")
    return name, options


def _coerce(value: Any, hint: Any, where: str) -> Any:
    """Turn a JSON value or a command line string into the type that the field declares."""
    options = typing.get_args(hint)
    if type(None) in options:
        if value is None or value == "none":
            return None
        return _coerce(value, next(o for o in options if o is not type(None)), where)
    if typing.get_origin(hint) is typing.Literal:
        if value not in options:
            raise UsageError(f"{where}={value!r}: choose from {', '.join(map(str, options))}")
        return value
    if typing.get_origin(hint) is tuple:
        items = value.split("+") if isinstance(value, str) else value
        if not isinstance(items, (list, tuple)):
            raise UsageError(f"{where}={value!r} is not a list")
        return tuple(_coerce(item, options[0], where) for item in items)
    if hint is bool and isinstance(value, str):
        if value.lower() in ("1", "true", "yes", "on"):
            return True
        if value.lower() in ("0", "false", "no", "off"):
            return False
        raise UsageError(f"{where}={value!r} is not true or false")
    if hint in (int, float) and not isinstance(value, bool):
        text = str(value).strip()
        percent = hint is float and text.endswith("%")
        try:
            number = hint(text[:-1] if percent else text)
        except ValueError:
            raise UsageError(f"{where}={value!r} is not a number") from None
        return number / 100 if percent else number
    if hint in (str, bool) and isinstance(value, hint):
        return value
    raise UsageError(f"{where}={value!r} is not of type {getattr(hint, '__name__', hint)}")
