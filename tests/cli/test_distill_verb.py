"""Laws of ``gscompress distill``: files that the next verb reads, and errors in one line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from field_specimens import voxel_field

from gscompress.cli.main import run
from gscompress.formats.fields import read_field, write_field

pytest.importorskip("torch")


@pytest.fixture
def teacher(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("gscompress.cli.distill._GENERATED", (3, 16, 16))
    write_field(voxel_field(side=8), tmp_path / "a.npz")
    return tmp_path / "a.npz"


def test_a_field_becomes_planes_and_splats(teacher: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    planes, splats = tmp_path / "b.th", tmp_path / "b.ply"
    assert run(["distill", str(teacher), str(planes), "--to", "planes", "--seconds", "0.5", "--side", "8"]) == 0
    assert read_field(planes).spec.kind == "planes"
    capsys.readouterr()
    assert run(["distill", str(teacher), str(splats), "--to", "splats", "--seconds", "0.5", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["kind"] == "splats"
    assert told["gaussians"] > 0
    assert run(["info", str(splats)]) == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--to", "soup"], "soup"),
        (["--to", "feature_voxels"], "hash_grid, planes, voxels, mlp or splats"),
        (["--to", "planes", "--seconds", "0"], "seconds"),
        (["--to", "planes", "--side", "4"], "side"),
        (["--to", "splats", "--data", "x", "--cameras", "y"], "--data"),
        (["--to", "splats", "--data", "nowhere"], "nowhere"),
    ],
)
def test_what_cannot_be_is_one_line(
    options: list[str], message: str, teacher: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["distill", str(teacher), str(tmp_path / "b.ply"), *options]) in (2, 3)
    told = capsys.readouterr().err
    assert message in told
    assert told.count("\n") == 1
    assert not (tmp_path / "b.ply").exists()
