"""Laws of bench on fields: general compressors give back what they stored, rows say what files hold."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from field_specimens import cameras, hash_field, planes_field, voxel_field

from gscompress.bench.fields import PEERS, measure
from gscompress.cli.main import run
from gscompress.field import Field
from gscompress.formats.fields import write_field


def picture(field: Field, camera: object) -> np.ndarray:
    """Something that every weight shows in."""
    total = sum(float(np.abs(a.astype(np.float64)).mean()) for a in field.tensors.values())
    return np.full((12, 12, 3), total % 1.0, np.float32)


@pytest.mark.parametrize("field", [hash_field(occupancy=True), voxel_field(side=6), planes_field(mask=True)])
def test_peers_give_back_what_they_stored(field: Field) -> None:
    rows = measure(field, None, cameras(2), picture, qualities=())
    assert [row.codec for row in rows] == list(PEERS)
    exact = {row.codec: row.psnr for row in rows}
    assert np.isinf(exact["zstd-f32"])
    assert np.isinf(exact["xz-f32"])
    for row in rows:
        assert row.ratio == pytest.approx(4 * field.weights / row.bytes)
        assert row.psnr > 30


def test_ours_is_smaller_at_lower_quality() -> None:
    rows = measure(hash_field(), None, cameras(1), picture, qualities=(20.0, 80.0))[:2]
    assert [row.point for row in rows] == ["q20", "q80"]
    assert rows[0].bytes < rows[1].bytes


def test_the_verb_measures_a_field(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("torch")
    monkeypatch.setattr("gscompress.cli.fields.JUDGED", (2, 10, 10))
    monkeypatch.setattr("gscompress.cli.fields.RAYS", {"voxels": (100, 60)})
    monkeypatch.setattr("gscompress.cli.bench_fields.VIEWS", (2, 16, 16))
    write_field(voxel_field(side=8), tmp_path / "a.npz")
    out = tmp_path / "out"
    assert run(["bench", str(tmp_path / "a.npz"), "-o", str(out), "--codecs", "q30", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["scenes"]["a"]
    assert [row["codec"] for row in rows] == ["voxels", *PEERS]
    assert rows[0]["bytes"] < rows[1]["bytes"]
    with (out / "a.csv").open() as stream:
        assert [int(row["bytes"]) for row in csv.DictReader(stream)] == [row["bytes"] for row in rows]
    assert run(["bench", str(tmp_path / "a.npz"), "-o", str(out), "--codecs", "best"]) == 2
    assert run(["bench", str(tmp_path / "a.npz"), "-o", str(out), "--repeat", "3"]) == 2
    assert capsys.readouterr().err.count("\n") == 2
