"""LPIPS with made-up weights: the formula holds and missing parts are named."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from gscompress.errors import MissingExtraError, UnreadableError
from gscompress.metrics import lpips as module
from gscompress.metrics.lpips import BACKBONE, CONVOLUTIONS, HEADS, SCALE, SHIFT, VARIABLE, lpips

torch = pytest.importorskip("torch")
CHANNELS = (4, 6, 8, 8, 8)


@pytest.fixture
def weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict:
    """A narrow VGG with random weights, in files of the real names."""
    torch.manual_seed(0)
    backbone, inputs = {}, 3
    for group, outputs in zip(CONVOLUTIONS, CHANNELS, strict=True):
        for index in group:
            backbone[f"features.{index}.weight"] = torch.randn(outputs, inputs, 3, 3) * 0.3
            backbone[f"features.{index}.bias"] = torch.randn(outputs) * 0.1
            inputs = outputs
    heads = {f"lin{k}.model.1.weight": torch.rand(1, c, 1, 1) for k, c in enumerate(CHANNELS)}
    torch.save(backbone, tmp_path / BACKBONE)
    torch.save(heads, tmp_path / HEADS)
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    return {**backbone, **heads}


def plain(a: np.ndarray, b: np.ndarray, weights: dict) -> float:
    """The definition, in loops."""
    x = [torch.tensor((2 * p - 1 - SHIFT) / SCALE, dtype=torch.float32).permute(2, 0, 1)[None] for p in (a, b)]
    total = 0.0
    for k, group in enumerate(CONVOLUTIONS):
        for index in group:
            layer = torch.nn.Conv2d(1, 1, 3, padding=1)
            layer.weight.data = weights[f"features.{index}.weight"]
            layer.bias.data = weights[f"features.{index}.bias"]
            x = [torch.nn.functional.relu(layer(p)) for p in x]
        one, two = (p / p.norm(dim=1, keepdim=True).clamp_min(1e-10) for p in x)
        total += float((weights[f"lin{k}.model.1.weight"] * (one - two) ** 2).sum(dim=1).mean())
        x = [torch.nn.MaxPool2d(2)(p) for p in x]
    return total


def test_lpips_is_its_definition(weights: dict) -> None:
    rng = np.random.default_rng(0)
    a, b = (rng.random((32, 48, 3)).astype(np.float32) for _ in range(2))
    with torch.no_grad():
        assert lpips(a, b, as_in_3dgs=False) == pytest.approx(plain(a, b, weights), rel=1e-4)
    assert lpips(a, b) != pytest.approx(lpips(a, b, as_in_3dgs=False), rel=1e-3)
    assert lpips(a, a) == 0


def test_missing_weights_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, str(tmp_path / "nowhere"))
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    picture = np.zeros((16, 16, 3), np.float32)
    with pytest.raises(MissingExtraError, match=f"{BACKBONE}.*{VARIABLE}"):
        lpips(picture, picture)


def test_a_file_of_something_else_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (BACKBONE, HEADS):
        (tmp_path / name).write_bytes(b"not a checkpoint")
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    picture = np.zeros((16, 16, 3), np.float32)
    with pytest.raises(UnreadableError, match="VGG-16"):
        lpips(picture, picture)


def test_without_torch_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "torch", None)
    with pytest.raises(MissingExtraError, match=r"gscompress\[tune\]"):
        module.lpips(np.zeros((16, 16, 3), np.float32), np.zeros((16, 16, 3), np.float32))
