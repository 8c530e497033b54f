"""Laws of the nerfstudio plugin: what it does when training ends; that it is found; that nothing else needs it."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path

import pytest
from field_specimens import hash_field
from specimens import FRUIT

from gscompress import formats
from gscompress.cli.main import run
from gscompress.errors import UnreadableError, UsageError
from gscompress.formats.fields import write_field
from gscompress.plugins.finish import finish


@pytest.fixture(autouse=True)
def _few_rays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gscompress.cli.fields.JUDGED", (3, 10, 10))
    monkeypatch.setattr("gscompress.cli.fields.RAYS", {"hash_grid": (100, 60)})


def test_a_finished_field_is_compressed(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    write_field(hash_field(), tmp_path / "step-000000009.ckpt")
    sizes = [finish(tmp_path / "step-000000009.ckpt", tmp_path / "scene.gscz", quality) for quality in (60, 20)]
    assert (tmp_path / "scene.gscz").stat().st_size == sizes[1] < sizes[0]
    assert run(["verify", str(tmp_path / "scene.gscz")]) == 0


def test_finished_splats_are_compressed(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    s = formats.read(FRUIT).splats.take(slice(0, 300))
    names = {"means": s.means, "scales": s.log_scales, "quats": s.quats, "opacities": s.logit_opacities[:, None]}
    names |= {"features_dc": s.sh[:, 0], "features_rest": s.sh[:, 1:]}
    pipeline = {f"_model.gauss_params.{name}": torch.from_numpy(array.copy()) for name, array in names.items()}
    torch.save({"step": 9, "pipeline": pipeline}, tmp_path / "step-000000009.ckpt")
    size = finish(tmp_path / "step-000000009.ckpt", tmp_path / "scene.gscz", 50)
    assert size == (tmp_path / "scene.gscz").stat().st_size
    assert run(["verify", str(tmp_path / "scene.gscz")]) == 0


def test_what_is_neither_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.ckpt").write_bytes(b"\x80\x02 nothing")
    with pytest.raises(UnreadableError):
        finish(tmp_path / "a.ckpt", tmp_path / "a.gscz")
    pytest.importorskip("torch")
    write_field(hash_field(), tmp_path / "b.ckpt")
    with pytest.raises(UsageError, match="quality"):
        finish(tmp_path / "b.ckpt", tmp_path / "a.gscz", 400)
    assert not (tmp_path / "a.gscz").exists()


def test_the_package_does_without_nerfstudio() -> None:
    code = "import sys; sys.modules['nerfstudio'] = None; import gscompress.plugins.finish; print('fine')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "fine"


@pytest.mark.skipif(find_spec("nerfstudio") is None, reason="nerfstudio is not installed")
def test_nerfstudio_gets_its_methods() -> None:
    from gscompress.plugins import nerfstudio

    for method in (nerfstudio.nerfacto, nerfstudio.splatfacto):
        assert method.config.method_name.startswith("gscompress-")
        assert method.config._target is nerfstudio.CompressingTrainer


def test_the_methods_are_announced() -> None:
    text = (Path(__file__).parents[2] / "pyproject.toml").read_text()
    for name in ("nerfacto", "splatfacto"):
        assert f'gscompress-{name} = "gscompress.plugins.nerfstudio:{name}"' in text
    installed = entry_points(group="nerfstudio.method_configs").names
    assert not installed or "gscompress-nerfacto" in installed
