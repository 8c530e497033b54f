"""Training checkpoints of PyTorch (read only): gsplat ``.pt``, nerfstudio splatfacto ``.ckpt``, INRIA ``.pth``.

Loaded with ``weights_only``: a pickle that asks for anything but tensors and plain containers is refused, never run.
The numbers are taken as they are (right-down-forward), as the trainers' own .ply exporters write them.
"""

from __future__ import annotations

import json
import math
import pickle
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from gscompress.errors import MissingExtraError, UnreadableError
from gscompress.events import EventLog
from gscompress.formats import pickled_arrays
from gscompress.formats.base import Format
from gscompress.formats.bundle import ZIP
from gscompress.formats.limits import check_expansion
from gscompress.formats.packed_values import sigmoid
from gscompress.frame import RDF
from gscompress.scene import Model, Scene, Splats
from gscompress.sh import C0

F32 = npt.NDArray[np.float32]
_LEGACY = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19."  # torch.save before 1.6
# What the trainers call each attribute: gsplat, splatfacto, INRIA.
_NAMES = {
    "means": ("means", "_xyz"),
    "log_scales": ("scales", "_scaling"),
    "quats": ("quats", "_rotation"),
    "logit_opacities": ("opacities", "_opacity"),
    "dc": ("sh0", "features_dc", "_features_dc"),
    "rest": ("shN", "features_rest", "_features_rest"),
}
# The first seven entries of the tuple that the INRIA trainer saves.
_INRIA = ("active_sh_degree", "_xyz", "_features_dc", "_features_rest", "_scaling", "_rotation", "_opacity")
_TRANSFORMS = "dataparser_transforms.json"
_DEPTH = 6


class CheckpointFormat(Format):
    """Optimiser states are not touched: the file is mapped, not read."""

    name = "checkpoint"
    suffixes = (".pt", ".ckpt", ".pth")
    writable = False

    def sniff(self, path: Path, head: bytes) -> bool:
        if head[:4] == ZIP:
            return any(name.endswith("data.pkl") for name in _members(path))
        return head.startswith(_LEGACY) or (head[:1] == b"\x80" and path.suffix.lower() in self.suffixes)

    def read(self, path: Path, log: EventLog) -> Scene:
        loaded = load(path)
        tensors = dict(_tensors(loaded, "", _DEPTH))
        prefix, names = _find(path, tensors)
        arrays = _arrays(path, {key: tensors[prefix + name] for key, name in names.items()})
        dc, rest = arrays["dc"], arrays["rest"]
        if prefix.endswith("gauss_params.") and not rest.shape[1]:
            # Without view dependence splatfacto trains the logit of the colour instead of an SH coefficient.
            dc = ((sigmoid(dc) - 0.5) / C0).astype(np.float32)
        rest = _whole_degree(path, rest, log)
        splats = Splats(
            arrays["means"],
            arrays["log_scales"],
            arrays["quats"],
            arrays["logit_opacities"],
            np.concatenate([dc, rest], axis=1),
        )
        return Scene(splats, RDF, _model(path), _meta(path, loaded, log))


def load(path: Path) -> Any:
    """The unpickled file: tensors, arrays and plain containers only. Raises UnreadableError, MissingExtraError."""
    try:
        import torch
    except ImportError:
        raise MissingExtraError("torch", "checkpoints", f"reading {path.name}") from None
    with path.open("rb") as stream:
        zipped = stream.read(4) == ZIP
    if zipped:
        _check_zip(path)
    try:
        with warnings.catch_warnings(), pickled_arrays.allowed():
            warnings.simplefilter("ignore")
            return torch.load(str(path), map_location="cpu", weights_only=True, mmap=zipped or None)
    except pickle.UnpicklingError:
        raise UnreadableError(
            f"{path}: damaged, or it holds Python objects besides tensors, which gscompress refuses to run: "
            "save the tensors alone with torch.save"
        ) from None
    except Exception as error:  # a damaged pickle can raise anything
        raise UnreadableError(f"{path}: the checkpoint cannot be read: {_short(error)}") from None


def _members(path: Path) -> list[str]:
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.namelist()
    except (zipfile.BadZipFile, OSError, ValueError, LookupError, RuntimeError):
        return []


def _check_zip(path: Path) -> None:
    """PyTorch stores without compression; what claims to unpack to more than the file is an attack."""
    try:
        with zipfile.ZipFile(path) as archive:
            unpacked = sum(info.file_size for info in archive.infolist())
    except Exception as error:
        raise UnreadableError(f"{path}: the zip file is damaged: {_short(error)}") from None
    if unpacked > 2 * path.stat().st_size + (64 << 20):
        raise UnreadableError(f"{path}: claims to unpack to {unpacked:,} bytes: refused as a decompression bomb")


def _tensors(value: Any, prefix: str, depth: int) -> Iterator[tuple[str, Any]]:
    """(dotted name, tensor) of everything inside nested dictionaries, and of the INRIA tuple."""
    import torch

    if isinstance(value, torch.Tensor):
        yield prefix.removesuffix("."), value
    elif isinstance(value, (tuple, list)) and depth:
        if len(value) == 2 and isinstance(value[0], tuple) and len(value[0]) >= len(_INRIA):
            for name, item in zip(_INRIA, value[0]):
                yield from _tensors(item, f"{prefix}{name}.", 0)
    elif isinstance(value, Mapping) and depth:
        for key, item in value.items():
            if isinstance(key, str) and key not in ("optimizers", "optimizer", "schedulers"):
                yield from _tensors(item, f"{prefix}{key}.", depth - 1)


def _find(path: Path, tensors: Mapping[str, Any]) -> tuple[str, dict[str, str]]:
    """The prefix under which all attributes stand, and their names there."""
    for name in tensors:
        stem = name.rpartition(".")[2]
        if stem not in _NAMES["means"]:
            continue
        prefix = name[: len(name) - len(stem)]
        names = {key: choice for key, choices in _NAMES.items() for choice in choices if prefix + choice in tensors}
        if len(names) == len(_NAMES):
            return prefix, names
        missing = ", ".join(choices[0] for key, choices in _NAMES.items() if key not in names)
        raise UnreadableError(f"{path}: the checkpoint has no {missing} beside {name!r:.60}")
    some = repr(list(tensors)[:3])[1:200] if tensors else "no tensors"
    raise UnreadableError(f"{path}: no Gaussians in this checkpoint (it holds {some} …)")


def _arrays(path: Path, tensors: Mapping[str, Any]) -> dict[str, F32]:
    """Checked float32 copies in the shapes of Splats; dc (N, 1, 3), rest (N, R, 3)."""
    means, rest = tensors["means"], tensors["rest"]
    count = means.shape[0] if means.ndim == 2 else 0
    bands = rest.shape[1] if rest.ndim == 3 else 0
    check_expansion(path, count, 1 + bands, path.stat().st_size)
    shapes = {"means": (count, 3), "log_scales": (count, 3), "quats": (count, 4), "logit_opacities": (count,)}
    shapes |= {"dc": (count, 1, 3), "rest": (count, bands, 3)}
    out = {}
    for key, tensor in tensors.items():
        plain = str(tensor.layout) == "torch.strided" and tensor.device.type == "cpu" and tensor.is_floating_point()
        if not plain or tensor.numel() != math.prod(shapes[key]):
            raise UnreadableError(f"{path}: {key} is a {tensor.dtype} tensor of shape {tuple(tensor.shape)}")
        try:
            out[key] = tensor.detach().float().contiguous().numpy().reshape(shapes[key]).copy()
        except (RuntimeError, ValueError, TypeError) as error:
            raise UnreadableError(f"{path}: {key} cannot be read: {_short(error)}") from None
    return out


def _whole_degree(path: Path, rest: F32, log: EventLog) -> F32:
    """Coefficients of the highest complete SH degree up to 3."""
    kept = max(n for n in (0, 3, 8, 15) if n <= rest.shape[1])
    if kept < rest.shape[1]:
        log.warn(f"{path.name}: {rest.shape[1]} SH coefficients per channel above degree 0 are cut to {kept}")
    return rest[:, :kept]


def _beside(path: Path, *names: str) -> str:
    """The text of the first of these files in the checkpoint's folder or the one above; empty when there is none."""
    for folder in (path.parent, path.parent.parent):
        for name in names:
            try:
                with (folder / name).open(encoding="utf-8", errors="replace") as stream:
                    return stream.read(1 << 20)
            except OSError:
                continue
    return ""


def _model(path: Path) -> Model:
    """What the trainer's configuration beside the checkpoint says: the checkpoint itself does not."""
    text = _beside(path, "config.yml", "cfg.yml")
    if "model_type: 2dgs" in text:
        return "2dgs"
    return "mip" if "rasterize_mode: antialiased" in text or "antialiased: true" in text else "3dgs"


def _meta(path: Path, loaded: Any, log: EventLog) -> dict[str, Any]:
    meta: dict[str, Any] = {}
    step = loaded.get("step") if isinstance(loaded, Mapping) else None
    if isinstance(step, int):
        meta["step"] = step
    text = _beside(path, _TRANSFORMS)
    if text:
        try:
            meta["dataparser_transforms"] = json.loads(text)
            log.info(f"{path.name}: {_TRANSFORMS} is kept as metadata; the scene stays in nerfstudio's coordinates")
        except (ValueError, RecursionError):
            log.warn(f"{path.name}: {_TRANSFORMS} beside it is not JSON and is left out")
    return meta


def _short(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]
