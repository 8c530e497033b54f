"""The Triton kernels without a GPU: their laws in the interpreter, and ahead-of-time compilation for real ones."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from gscompress.errors import MissingExtraError, UsageError
from gscompress.renderers import RENDERERS, base

torch = pytest.importorskip("torch")
triton = pytest.importorskip("triton")

LAWS = Path(__file__).with_name("laws_triton.py")
HAS_GPU = torch.cuda.is_available()


def test_kernels_obey_their_laws() -> None:
    environment = {**os.environ, "TRITON_INTERPRET": "0" if HAS_GPU else "1"}
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", str(LAWS)]
    # Not from the repository's root: "-m" would find the part of the package that lies there.
    run = subprocess.run(
        command, env=environment, cwd=LAWS.parent, capture_output=True, text=True, timeout=300, check=False
    )
    assert run.returncode == 0, run.stdout[-6000:] + run.stderr[-2000:]
    assert re.search(r"\b1\d passed", run.stdout), run.stdout[-2000:]


def launches() -> dict[str, tuple[Any, str, dict[str, Any], int]]:
    """Kernel, parameter types in order (f, d, h, i, l, s, b: pointers; n: int32; x: float32), constants and warps."""
    from gscompress.kernels import bin_tiles, dequant, hash_lookup_triton, project, rasterize, sh_eval

    block, grey = {"BLOCK": 128}, {"MIP": True}
    forwards, backwards = ({"LEVELS": 8, "FEATURES": 2, "BACKWARDS": b, **block} for b in (False, True))
    full, palette = {"BANDS": 16, "PALETTE": False}, {"BANDS": 16, "PALETTE": True}
    return {
        "project": (project.project_kernel, "ffffffn", {**grey, **block}, 4),
        "project_backward": (project.project_backward_kernel, "fffffffffffn", {**grey, **block}, 4),
        "sh": (sh_eval.sh_kernel, "ffffn", {"BANDS": 16, **block}, 4),
        "sh_backward": (sh_eval.sh_backward_kernel, "fffffffn", {"BANDS": 16, **block}, 4),
        "count": (bin_tiles.count_kernel, "fiinnn", block, 4),
        "emit": (bin_tiles.emit_kernel, "filsinnnnn", block, 4),
        "rasterize": (rasterize.rasterize_kernel, "fiifffnnnxxx", {"GROUP": 4}, 2),
        "rasterize_backward": (rasterize.rasterize_backward_kernel, "fiifffnnn", {}, 1),
        "project_packed": (dequant.project_packed_kernel, "Sbifffnn", grey, 4),
        "sh_packed": (dequant.sh_packed_kernel, "SbhSfffnnn", full, 4),
        "hash_lookup": (hash_lookup_triton.hash_lookup_kernel, "fffdlllnx", forwards, 4),
        "hash_pull_back": (hash_lookup_triton.hash_lookup_kernel, "fffdlllnx", backwards, 4),
        "sh_palette": (dequant.sh_packed_kernel, "SbhSfffnnn", palette, 4),
    }


TYPES = {"f": "*fp32", "d": "*fp64", "h": "*fp16", "i": "*i32", "l": "*i64", "s": "*i16", "S": "*u16", "b": "*u8"} | {
    "n": "i32",
    "x": "fp32",
}


@pytest.mark.skipif(os.environ.get("TRITON_INTERPRET") == "1", reason="the interpreter replaces the compiler")
@pytest.mark.parametrize("capability", [80, 90, 100])
def test_every_kernel_compiles_ahead_of_time_and_spills_nothing(capability: int, tmp_path: Path) -> None:
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    reader = Path(triton.__file__).parent / "backends/nvidia/bin/cuobjdump"
    for name, (kernel, types, constants, warps) in launches().items():
        signature = {key: TYPES[code] for key, code in zip(kernel.arg_names, types)}
        signature |= dict.fromkeys(constants, "constexpr")
        assert list(signature) == kernel.arg_names, f"{name}: this test's list of parameters is out of date"
        source = ASTSource(kernel, signature, constants)
        target = GPUTarget("cuda", capability, 32)
        compiled = triton.compile(source, target=target, options={"num_warps": warps})
        cubin = tmp_path / f"{name}.cubin"
        cubin.write_bytes(compiled.asm["cubin"])
        usage = subprocess.run([reader, "--dump-resource-usage", cubin], capture_output=True, text=True, check=True)
        found = re.search(r"REG:(\d+) STACK:(\d+) SHARED:(\d+) LOCAL:(\d+)", usage.stdout)
        assert found, usage.stdout
        registers, stack, shared, local = map(int, found.groups())
        assert (stack, local) == (0, 0), f"{name} spills on sm_{capability}: {found[0]}"
        assert registers <= 128, f"{name} takes {registers} registers"
        assert shared <= 16 * 1024


def test_kernels_and_renderers_share_their_limits() -> None:
    from gscompress.kernels import record

    assert record.BLUR.value == base.BLUR
    assert record.ALPHA_MAX.value == base.ALPHA_MAX
    assert 2**record.LOG2_ALPHA_MIN.value == pytest.approx(base.ALPHA_MIN, rel=1e-12)
    assert record.TRANSMITTANCE_MIN.value == base.TRANSMITTANCE_MIN
    assert 2 ** -(record.GAIN.value**2) == pytest.approx(2.718281828459045**-0.5, rel=1e-12)


@pytest.mark.skipif(HAS_GPU, reason="there is a GPU")
@pytest.mark.parametrize("name", ["triton", "gsplat"])
def test_without_a_gpu_the_error_says_what_to_do(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    with pytest.raises(UsageError, match=f"{name} renderer needs an NVIDIA GPU.*use the cpu renderer"):
        RENDERERS.get(name)()


@pytest.mark.parametrize("name", ["triton", "gsplat"])
def test_without_torch_the_error_names_the_extra(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(MissingExtraError, match=r"gscompress\[gpu\]"):
        RENDERERS.get(name)()


def gpu_check(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    script = Path(__file__).parents[2] / "scripts" / "gpu_check.py"
    command = [sys.executable, str(script), *arguments]
    return subprocess.run(
        command, env={**os.environ, **environment}, capture_output=True, text=True, timeout=300, check=False
    )


@pytest.mark.skipif(HAS_GPU, reason="there is a GPU")
def test_gpu_check_without_a_gpu_says_so_in_one_line() -> None:
    run = gpu_check(TRITON_INTERPRET="0")
    assert (run.returncode, run.stdout) == (2, "")
    assert re.fullmatch(r"gpu_check: nothing was run: .*needs an NVIDIA GPU.*\n", run.stderr)


@pytest.mark.skipif(HAS_GPU, reason="there is a GPU")
def test_gpu_check_runs_through_in_the_interpreter() -> None:
    toy = ["--gaussians", "12", "--size", "32x16", "--views", "1", "--seconds", "0"]
    run = gpu_check(*toy, TRITON_INTERPRET="1")
    assert run.returncode == 0, run.stdout + run.stderr
    for row in ("triton, packed scene", "gsplat, packed=True", "rasterize backward", "project and shade"):
        assert row in run.stdout


@pytest.mark.gpu
@pytest.mark.skipif(not HAS_GPU, reason="needs a CUDA device")
def test_gsplat_draws_the_reference_picture_up_to_its_alpha_cap() -> None:
    pytest.importorskip("gsplat")
    import numpy as np

    sys.path.insert(0, str(LAWS.parent))
    from laws_triton import BACKGROUND, CAMERA, random_scene

    from gscompress.renderers.reference import ReferenceRenderer

    scene = random_scene(40, seed=4)
    image = RENDERERS.get("gsplat")().render(scene, CAMERA, background=BACKGROUND)
    twin = ReferenceRenderer().render(scene, CAMERA, background=BACKGROUND)
    np.testing.assert_allclose(image.rgb, twin.rgb, rtol=0, atol=0.02)
