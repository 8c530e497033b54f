"""LPIPS (Zhang et al., CVPR 2018) with the VGG-16 network, as 3DGS papers report it.

Needs torch and two weight files that are never downloaded from here: the ImageNet VGG-16 of torchvision
(``vgg16-397923af.pth``) and the learned heads of LPIPS v0.1 (``vgg.pth`` of the lpips package). They are looked for in
``$GSCOMPRESS_LPIPS``, then in torch's hub cache, the heads also in an installed lpips or torchmetrics package.
"""

from __future__ import annotations

import os
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from gscompress.errors import GscompressError, MissingExtraError, UnreadableError
from gscompress.metrics.psnr import Picture, pair

VARIABLE = "GSCOMPRESS_LPIPS"
BACKBONE, HEADS = "vgg16-397923af.pth", "vgg.pth"
PACKAGES = {"lpips": "weights/v0.1", "torchmetrics": "functional/image/lpips_models"}
"""Where packages keep the heads."""
CONVOLUTIONS = ((0, 2), (5, 7), (10, 12, 14), (17, 19, 21), (24, 26, 28))
"""Indices of VGG-16's convolutions in torchvision's ``features``; features are compared after each group."""
SHIFT, SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)


class MissingWeightsError(MissingExtraError):
    """torch is there but a weight file is not."""

    def __init__(self, name: str, looked: list[Path]) -> None:
        places = ", ".join(str(folder) for folder in looked)
        GscompressError.__init__(
            self,
            f"LPIPS needs the weight file {name}: put it into a folder and set {VARIABLE} to it (looked in {places})",
        )


def lpips(first: Picture, second: Picture, *, as_in_3dgs: bool = True) -> float:
    """Perceptual distance of two (H, W, 3) pictures, 0 for equal ones.

    ``as_in_3dgs`` feeds the network [0, 1] instead of [-1, 1], which is a slip of the 3DGS evaluation script that all
    published tables share; off, it is LPIPS as its authors define it. Raises MissingExtraError without torch or
    weights, UsageError for shapes that differ.
    """
    a, b = pair(first, second)
    torch, backbone, heads = _network()
    with torch.no_grad():
        taps = [_features(torch, backbone, torch.from_numpy(x).permute(2, 0, 1)[None], as_in_3dgs) for x in (a, b)]
        distance = 0.0
        for one, two, head in zip(*taps, heads, strict=True):
            apart = (_unit(torch, one) - _unit(torch, two)) ** 2
            distance += float(torch.nn.functional.conv2d(apart, head).mean())
    return distance


def _features(torch: Any, backbone: Any, picture: Any, as_in_3dgs: bool) -> list[Any]:
    x = picture if as_in_3dgs else 2 * picture - 1
    x = (x - torch.tensor(SHIFT)[:, None, None]) / torch.tensor(SCALE)[:, None, None]
    taps = []
    for number, group in enumerate(CONVOLUTIONS):
        if number:
            x = torch.nn.functional.max_pool2d(x, 2)
        for index in group:
            weight, bias = backbone[f"features.{index}.weight"], backbone[f"features.{index}.bias"]
            x = torch.relu(torch.nn.functional.conv2d(x, weight, bias, padding=1))
        taps.append(x)
    return taps


def _unit(torch: Any, x: Any) -> Any:
    return x / (torch.sqrt((x * x).sum(dim=1, keepdim=True)) + 1e-10)


def _network() -> tuple[Any, Any, list[Any]]:
    try:
        import torch
    except ImportError:
        raise MissingExtraError("torch", "tune", "LPIPS") from None
    hub = Path(torch.hub.get_dir()) / "checkpoints"
    own = [Path(os.environ[VARIABLE])] if os.environ.get(VARIABLE) else []
    shipped = [
        Path(package.origin).parent / inner
        for package, inner in ((find_spec(name), inner) for name, inner in PACKAGES.items())
        if package and package.origin
    ]
    return (torch, *_load(_find(BACKBONE, [*own, hub]), _find(HEADS, [*own, hub, *shipped])))


def _find(name: str, folders: list[Path]) -> Path:
    for folder in folders:
        if (folder / name).is_file():
            return folder / name
    raise MissingWeightsError(name, folders)


@lru_cache(maxsize=1)
def _load(backbone_file: Path, heads_file: Path) -> tuple[Any, list[Any]]:
    import torch

    try:
        backbone = torch.load(backbone_file, map_location="cpu", weights_only=True)
        heads = torch.load(heads_file, map_location="cpu", weights_only=True)
        channels = [backbone[f"features.{group[-1]}.weight"].shape[0] for group in CONVOLUTIONS]
        learned = [heads[f"lin{k}.model.1.weight"].reshape(1, count, 1, 1) for k, count in enumerate(channels)]
    except Exception as error:
        reason = " ".join(str(error).split())[:120]
        raise UnreadableError(f"{backbone_file}, {heads_file}: not the weights of VGG-16 and LPIPS: {reason}") from None
    return backbone, learned
