"""Header comments of .ply and .compressed.ply: the only place where these formats can say what their numbers mean.

Understood: ``SplatRenderMode: default|mip|2dgs``, ``antialiased 0|1``, ``gscompress frame RDF`` (any axes) and
``gscompress meta {JSON}``. All others travel as they are in ``scene.meta["comments"]``.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from gscompress.errors import UsageError
from gscompress.frame import RDF, Frame
from gscompress.scene import Model, Scene

_MODELS: dict[str, Model] = {"default": "3dgs", "3dgs": "3dgs", "mip": "mip", "2dgs": "2dgs"}
_MODEL_WORDS = {"3dgs": "default", "mip": "mip", "2dgs": "2dgs"}
_META = "gscompress meta "
_META_LIMIT = 65536  # characters
_OWN_KEYS = ("comments", "normals")  # said by the file itself, not by a comment


@dataclass(frozen=True, slots=True)
class Facts:
    """What the comments of a header say; None where they are silent. meta holds the comments themselves as well."""

    frame: Frame | None
    model: Model | None
    meta: dict[str, Any]


def parse_comments(comments: Sequence[str]) -> Facts:
    """Where comments contradict one another, the last one counts."""
    frame: Frame | None = None
    model: Model | None = None
    meta: dict[str, Any] = {}
    kept = []
    for text in comments:
        if text.startswith(_META):
            meta |= _parse_meta(text[len(_META) :])
            continue
        kept.append(text)
        frame = _frame(text) or frame
        model = _model(text) or model
    if kept:
        meta["comments"] = kept
    return Facts(frame, model, meta)


def build_comments(scene: Scene, implied: Model) -> list[str]:
    """The comments of a scene that is written in RDF axes, with those about axes and model made true.

    ``implied`` is the model that a reader takes a file without comments for.
    """
    facts = parse_comments([str(text) for text in scene.meta.get("comments", ())])
    kept = list(facts.meta.get("comments", ()))
    if scene.frame != RDF or facts.frame not in (None, RDF):
        kept = [text for text in kept if not _frame(text)] + [f"gscompress frame {RDF.axes}"]
    if (facts.model or implied) != scene.model:
        kept = [text for text in kept if not _model(text)] + [f"SplatRenderMode: {_MODEL_WORDS[scene.model]}"]
    meta = _meta_line(scene)
    return kept + ([meta] if meta and len(meta) <= _META_LIMIT else [])


def comment_losses(scene: Scene) -> list[str]:
    """What a PLY gives up of the facts about a scene."""
    out = []
    if scene.frame != RDF:
        out.append(f"axes are turned from {scene.frame.axes} to RDF, which every program expects")
    meta = _meta_line(scene)
    if meta is None or len(meta) > _META_LIMIT:
        out.append(f"metadata that is no short JSON is dropped: {', '.join(_foreign(scene))}")
    return out


def _frame(text: str) -> Frame | None:
    words = text.split()
    if words[:2] != ["gscompress", "frame"] or len(words) != 3:
        return None
    try:
        return Frame(words[2])
    except UsageError:
        return None


def _model(text: str) -> Model | None:
    words = text.replace(":", " ").lower().split()
    if len(words) == 2 and words[0] == "splatrendermode":
        return _MODELS.get(words[1])
    if len(words) == 2 and words[0] == "antialiased":
        return "mip" if words[1] in ("1", "true", "yes") else "3dgs"
    return None


def _foreign(scene: Scene) -> dict[str, Any]:
    return {key: value for key, value in scene.meta.items() if key not in _OWN_KEYS}


def _meta_line(scene: Scene) -> str | None:
    """The comment that holds the metadata, empty when there is none, None when JSON cannot express it."""
    foreign = _foreign(scene)
    try:
        return _META + json.dumps(foreign, sort_keys=True) if foreign else ""
    except (TypeError, ValueError, RecursionError):
        return None


def _parse_meta(text: str) -> dict[str, Any]:
    try:
        meta = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return {key: value for key, value in meta.items() if key not in _OWN_KEYS} if isinstance(meta, dict) else {}
