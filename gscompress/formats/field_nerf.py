"""Plain NeRF MLPs (Mildenhall et al. 2020): checkpoints of krrish94/nerf-pytorch and of yenchenlin/nerf-pytorch.

Canonical names, with NET "coarse" or "fine" and every layer with ``.weight`` (out, in) and ``.bias`` (out,):
NET.trunk.0 … over the encoded position, NET.density, NET.feature, NET.colour.0 … over feature and encoded direction,
NET.rgb; without view directions NET.output (rgb, density) instead of the last four.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any, ClassVar

from gscompress.errors import UnreadableError
from gscompress.field import Array, Field, Spec
from gscompress.formats.field_base import OURS, Content, FieldLayout, setting

_Names = Mapping[str, str]  # canonical layer → the software's
_YML = ("config.yml", "config.yaml")


class NerfPytorchLayout(FieldLayout):
    """krrish94/nerf-pytorch: no ReLU after the first layer, one after the feature layer; skipped input comes last."""

    name: ClassVar[str] = "nerf-pytorch"
    suffixes: ClassVar[tuple[str, ...]] = (".ckpt", ".pt", ".pth")
    prefixes: ClassVar[_Names] = {"coarse": "model_coarse_state_dict", "fine": "model_fine_state_dict"}
    first: ClassVar[str] = "layer1"
    layers: ClassVar[_Names] = {
        "density": "fc_alpha",
        "feature": "fc_feat",
        "colour.{}": "layers_dir.{}",
        "rgb": "fc_rgb",
        "output": "fc_out",
    }
    geometry: ClassVar[Mapping[str, Any]] = {"first_relu": False, "feature_relu": True, "skip_first": False}

    def trunk(self, number: int) -> str:
        return "layer1" if number == 0 else f"layers_xyz.{number - 1}"

    def matches(self, content: Content) -> bool:
        return f"{self.prefixes['coarse']}.{self.first}.weight" in content.arrays

    def read(self, content: Content) -> Field:
        tensors: dict[str, Array] = {}
        nets = [n for n, p in self.prefixes.items() if f"{p}.{self.first}.weight" in content.arrays]
        shapes = []
        for net in nets:
            prefix = self.prefixes[net]
            for layer, theirs in self._layers(content, prefix):
                weight = content.need(f"{prefix}.{theirs}.weight", None, None)
                tensors[f"{net}.{layer}.weight"] = weight
                tensors[f"{net}.{layer}.bias"] = content.need(f"{prefix}.{theirs}.bias", len(weight))
            shapes.append(_measure(content, net, tensors))
        if any(shape != shapes[0] for shape in shapes):
            raise UnreadableError(f"{content.path}: the coarse and the fine network are encoded differently")
        steps = next((content.facts[k] for k in ("iter", "global_step") if k in content.facts), None)
        geometry = {"networks": nets, **shapes[0], **self.geometry, **_scene(content)}
        return Field(tensors, Spec("mlp", self.name, geometry), {} if steps is None else {"step": steps})

    def _layers(self, content: Content, prefix: str) -> Iterator[tuple[str, str]]:
        """(canonical, the software's) names of all layers, in order of evaluation. Raises UnreadableError."""
        number = 0
        while f"{prefix}.{self.trunk(number)}.weight" in content.arrays:
            yield f"trunk.{number}", self.trunk(number)
            number += 1
        if f"{prefix}.{self.layers['rgb']}.weight" not in content.arrays:
            yield "output", self.layers["output"]
            return
        yield "density", self.layers["density"]
        yield "feature", self.layers["feature"]
        number = 0
        while f"{prefix}.{self.layers['colour.{}'].format(number)}.weight" in content.arrays:
            yield f"colour.{number}", self.layers["colour.{}"].format(number)
            number += 1
        yield "rgb", self.layers["rgb"]

    def build(self, field: Field) -> dict[str, Any]:
        tree: dict[str, Any] = {self._step_name(): field.meta.get("step", 0)}
        for name, array in field.tensors.items():
            net, layer, kind = re.fullmatch(r"(\w+)\.(.+)\.(weight|bias)", name).groups()  # type: ignore[union-attr]
            theirs = self._their_name(layer)
            tree.setdefault(self.prefixes[net], {})[f"{theirs}.{kind}"] = array
        return tree

    def _their_name(self, layer: str) -> str:
        stem, _, number = layer.partition(".")
        if stem == "trunk":
            return self.trunk(int(number))
        return self.layers["colour.{}"].format(number) if stem == "colour" else self.layers[stem]

    def _step_name(self) -> str:
        return "iter"


class YenLayout(NerfPytorchLayout):
    """yenchenlin/nerf-pytorch and its many descendants: ReLU after every trunk layer, none after the feature layer."""

    name: ClassVar[str] = "nerf-pytorch-yen"
    suffixes: ClassVar[tuple[str, ...]] = (".tar", ".ckpt", ".pt", ".pth")
    prefixes: ClassVar[_Names] = {"coarse": "network_fn_state_dict", "fine": "network_fine_state_dict"}
    first: ClassVar[str] = "pts_linears.0"
    layers: ClassVar[_Names] = {
        "density": "alpha_linear",
        "feature": "feature_linear",
        "colour.{}": "views_linears.{}",
        "rgb": "rgb_linear",
        "output": "output_linear",
    }
    geometry: ClassVar[Mapping[str, Any]] = {"first_relu": True, "feature_relu": False, "skip_first": True}

    def trunk(self, number: int) -> str:
        return f"pts_linears.{number}"

    def _step_name(self) -> str:
        return "global_step"


def _measure(content: Content, net: str, tensors: Mapping[str, Array]) -> dict[str, Any]:
    """Frequencies, skips and whether there are view directions, from the layers' widths. Raises UnreadableError."""
    count = len([name for name in tensors if re.fullmatch(rf"{net}\.trunk\.\d+\.weight", name)])
    trunk = [tensors[f"{net}.trunk.{i}.weight"] for i in range(count)]
    position, hidden = trunk[0].shape[1], trunk[0].shape[0]
    skips = [i for i in range(1, count) if trunk[i].shape[1] == hidden + position]
    chained = all(w.shape == (hidden, hidden + position * (i in skips)) for i, w in enumerate(trunk) if i)
    views = f"{net}.rgb.weight" in tensors
    direction = 0
    if views:
        feature, colour = tensors[f"{net}.feature.weight"], tensors[f"{net}.colour.0.weight"]
        direction = colour.shape[1] - feature.shape[0]
        chained &= feature.shape[1] == hidden == tensors[f"{net}.density.weight"].shape[1] and direction >= 0
        chained &= tensors[f"{net}.density.weight"].shape[0] == 1
        chain = [w for n, w in tensors.items() if re.fullmatch(rf"{net}\.(colour\.\d+|rgb)\.weight", n)]
        chained &= all(b.shape[1] == a.shape[0] for a, b in pairwise(chain)) and chain[-1].shape[0] == 3
    else:
        chained &= tensors[f"{net}.output.weight"].shape == (4, hidden)
    frequencies = [_frequencies(width) for width in (position, direction if views else 3)]
    if not chained or None in frequencies:
        raise UnreadableError(f"{content.path}: the layers of the {net} network do not fit together")
    return {"frequencies": frequencies, "skips": skips, "views": views}


def _frequencies(width: int) -> int | None:
    """L of a positional encoding that is 3 + 6 L wide."""
    return (width - 3) // 6 if width >= 3 and (width - 3) % 6 == 0 and width <= 3 + 6 * 30 else None


def _scene(content: Content) -> dict[str, Any]:
    """Near, far, samples and so on from the .yml beside the checkpoint: the checkpoint itself does not say."""
    text = content.beside((f"{content.path.stem}.yml", *_YML))
    if not text and OURS not in content.facts:
        content.log.warn(f"{content.path.name}: no .yml beside it: near 2, far 6 and a white background are assumed")

    def said(key: str, otherwise: Any) -> Any:
        value = setting(text, key)
        return value if isinstance(value, (int, float, bool)) else otherwise

    return {
        "near": float(said("near", 2.0)),
        "far": float(said("far", 6.0)),
        "ndc": not said("no_ndc", True),
        "white": bool(said("white_background", True)),
        "samples": [int(said("num_coarse", 64)), int(said("num_fine", 64))],
        "disparity": bool(said("lindisp", False)),
    }
