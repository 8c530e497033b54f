"""Laws of the verbs on radiance fields: a checkpoint there and back, errors in one line, splat options refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from field_specimens import hash_field, mlp_field

from gscompress.cli.main import run
from gscompress.formats.fields import read_field, write_field

pytest.importorskip("torch")


@pytest.fixture(autouse=True)
def _few_rays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gscompress.cli.fields.JUDGED", (3, 10, 10))
    monkeypatch.setattr("gscompress.cli.fields.RAYS", {"mlp": (100, 60), "hash_grid": (100, 60)})


@pytest.mark.parametrize("kind", ["mlp", "hash_grid"])
def test_a_checkpoint_goes_there_and_back(kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    field = mlp_field(width=16) if kind == "mlp" else hash_field()
    source, packed, back = tmp_path / "a.ckpt", tmp_path / "a.gscz", tmp_path / "b.ckpt"
    write_field(field, source)
    assert run(["compress", str(source), str(packed), "--json", "--quality", "45"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["kind"] == kind
    assert told["weight_ratio"] == pytest.approx(4 * field.weights / packed.stat().st_size, rel=1e-3)
    assert sum(told["ledger"]["bytes_per_attribute"].values()) == packed.stat().st_size
    for verb in ("info", "verify"):
        for path in (source, packed):
            assert run([verb, str(path)]) == 0
            assert kind in capsys.readouterr().out
    assert run(["decompress", str(packed), str(back)]) == 0
    again = read_field(back)
    assert again.spec == read_field(source).spec
    assert {n: a.shape for n, a in again.tensors.items()} == {n: a.shape for n, a in field.tensors.items()}


def test_a_field_is_drawn_and_compared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    field = mlp_field(width=16)
    write_field(field, tmp_path / "a.ckpt")
    write_field(mlp_field(width=16, seed=1), tmp_path / "b.ckpt")
    view = ["--cameras", "orbit:2", "--size", "16x16"]
    assert run(["render", str(tmp_path / "a.ckpt"), "-o", str(tmp_path / "out"), *view]) == 0
    assert len(list((tmp_path / "out").iterdir())) == 2
    capsys.readouterr()
    pair = [str(tmp_path / "b.ckpt"), "--against", str(tmp_path / "a.ckpt")]
    assert run(["eval", *pair, *view, "--json"]) == 0
    assert 3 < json.loads(capsys.readouterr().out)["psnr"] < 40


def test_what_is_for_splats_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_field(mlp_field(width=16), tmp_path / "a.ckpt")
    base = ["compress", str(tmp_path / "a.ckpt"), str(tmp_path / "a.gscz")]
    for extra in (
        ["--do", "clean"],
        ["--target-size", "5k"],
        ["--tune", "3"],
        ["--quality", "200"],
        ["--preset", "fast"],
    ):
        assert run([*base, *extra]) == 2
        assert capsys.readouterr().err.count("\n") == 1
    assert not (tmp_path / "a.gscz").exists()


def test_a_damaged_field_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_field(mlp_field(width=16), tmp_path / "a.ckpt")
    assert run(["compress", str(tmp_path / "a.ckpt"), str(tmp_path / "a.gscz")]) == 0
    data = bytearray((tmp_path / "a.gscz").read_bytes())
    data[len(data) // 2] ^= 255
    (tmp_path / "b.gscz").write_bytes(data)
    for verb in (["verify"], ["decompress"]):
        target = [str(tmp_path / "c.ckpt")] if verb == ["decompress"] else []
        assert run([*verb, str(tmp_path / "b.gscz"), *target]) == 3
        assert "b.gscz" in capsys.readouterr().err
    assert run(["render", str(tmp_path / "b.gscz"), "-o", str(tmp_path / "x")]) == 3


def test_generated_views_of_a_turned_field_see_it() -> None:
    """Cameras are given in the world's axes, from which ``world`` leads into the field's."""
    from dataclasses import replace

    from gscompress.field_views import generate
    from gscompress.renderers.volume import VolumeRenderer

    field = hash_field()
    turn = np.array([[0, 0, 2.0, 3], [2, 0, 0, -1], [0, 2, 0, 0.5]])
    turned = replace(field, spec=replace(field.spec, geometry={**field.spec.geometry, "world": turn.tolist()}))
    before = VolumeRenderer().render(field, generate(field, 1, 12, 12)[0])
    after = VolumeRenderer().render(turned, generate(turned, 1, 12, 12)[0])
    np.testing.assert_allclose(before.rgb, after.rgb, atol=2e-3)
