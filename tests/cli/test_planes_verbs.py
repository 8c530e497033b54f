"""The verbs on TensoRF checkpoints: there and back, drawn, compared."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from field_specimens import planes_field

from gscompress.cli.main import run
from gscompress.formats.fields import read_field, write_field

pytest.importorskip("torch")


@pytest.mark.parametrize("contraction", ["none", "inf"])
def test_a_checkpoint_goes_there_and_back(
    contraction: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("gscompress.cli.fields.JUDGED", (3, 12, 12))
    monkeypatch.setattr("gscompress.cli.fields.RAYS", {"planes": (200, 100)})
    field = planes_field(contraction=contraction, mask=contraction == "none")
    source, packed, back = tmp_path / "a.th", tmp_path / "a.gscz", tmp_path / "b.th"
    write_field(field, source)
    assert run(["compress", str(source), str(packed), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["kind"] == "planes"
    assert sum(told["ledger"]["bytes_per_attribute"].values()) == packed.stat().st_size
    for verb in ("info", "verify"):
        for path in (source, packed):
            assert run([verb, str(path)]) == 0
            assert "planes" in capsys.readouterr().out
    assert run(["decompress", str(packed), str(back)]) == 0
    again = read_field(back)
    assert again.spec == read_field(source).spec
    if contraction == "none":
        np.testing.assert_array_equal(again.tensors["occupancy"], field.tensors["occupancy"])
    capsys.readouterr()
    view = ["--cameras", "orbit:2", "--size", "16x16"]
    assert run(["eval", str(packed), "--against", str(source), *view, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["psnr"] > 10
    assert run(["render", str(packed), "-o", str(tmp_path / "out"), *view]) == 0
