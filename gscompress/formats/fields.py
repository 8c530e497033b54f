"""Radiance-field files: ``read_field`` and ``write_field`` any known layout of checkpoint or npz."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

from gscompress.atomic import staged
from gscompress.errors import UnreadableError, UsageError
from gscompress.events import EventLog
from gscompress.field import Field
from gscompress.formats import field_files
from gscompress.formats.field_base import OURS, Content, FieldLayout
from gscompress.registry import Registry

_HERE = "gscompress.formats"
LAYOUTS: Registry[type[FieldLayout]] = Registry(
    "field_layout",
    {
        "nerf-pytorch": f"{_HERE}.field_nerf:NerfPytorchLayout",
        "nerf-pytorch-yen": f"{_HERE}.field_nerf:YenLayout",
        "plenoxels": f"{_HERE}.field_plenoxels:PlenoxelsLayout",
        "dvgo": f"{_HERE}.field_dvgo:DvgoLayout",
        "nerfacto": f"{_HERE}.field_nerfstudio:NerfstudioLayout",
        "tensorf": f"{_HERE}.field_tensorf:TensorfLayout",
        "planes": f"{_HERE}.field_tensorf:PlanesLayout",
    },
)


def read_field(path: str | os.PathLike[str], log: EventLog | None = None) -> Field:
    """Read a radiance field: no code in the file ever runs.

    Raises UnreadableError (no such file, unknown layout, hostile, tensors missing) and MissingExtraError (torch).
    """
    source = Path(path)
    content = field_files.load(source, log or EventLog())
    layout = _recognise(content)
    if layout is None:
        some = ", ".join(list(content.arrays)[:3]) or "no tensors"
        raise UnreadableError(
            f"{source}: not a radiance field that gscompress knows (it holds {some:.160} …; layouts: "
            f"{', '.join(LAYOUTS)})"
        )
    return _with_our_geometry(layout.read(content), content)


def holds_field(path: str | os.PathLike[str]) -> bool:
    """Whether a checkpoint or npz is of a known field layout; False for everything else, damaged files included."""
    source = Path(path)
    try:
        if not source.is_file() or not field_files.could_be(source):
            return False
        return _recognise(field_files.load(source, EventLog())) is not None
    except UnreadableError:
        return False


def write_field(field: Field, path: str | os.PathLike[str], *, force: bool = True) -> None:
    """Write a field as the software that it came from loads it; the suffix must be one of that software's.

    Raises UsageError (unknown source, wrong suffix), OutputExistsError.
    """
    target = Path(path)
    layout = layout_of(field)
    if not target.name.lower().endswith(layout.suffixes):
        raise UsageError(f"{target.name}: a {layout.name} field is written as {' or '.join(layout.suffixes)}")
    with staged(target, force=force) as temporary:
        tree = layout.build(field) | {OURS: json.dumps(dict(field.spec.geometry))}
        field_files.save(tree, temporary, target.suffix.lower())


def layout_of(field: Field) -> FieldLayout:
    """The layout that the field came from. Raises UsageError."""
    return LAYOUTS.get(field.spec.source)()


def _with_our_geometry(field: Field, content: Content) -> Field:
    """What a checkpoint that we wrote says of its sampling goes before what was guessed without its other files."""
    try:
        ours = json.loads(str(content.facts.get(OURS, "{}")))
    except (ValueError, RecursionError):
        return field
    if not isinstance(ours, dict):
        return field
    known = {key: value for key, value in ours.items() if key in field.spec.geometry}
    return replace(field, spec=replace(field.spec, geometry={**field.spec.geometry, **known}))


def _recognise(content: Content) -> FieldLayout | None:
    for name in LAYOUTS:
        layout = LAYOUTS.get(name)()
        if layout.matches(content):
            return layout
    return None
