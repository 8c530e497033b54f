"""Every verb: what it prints, what it leaves behind, and its exit code."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from specimens import FRUIT, blob, rows

from gscompress import formats
from gscompress.camera import Camera, look_at
from gscompress.cli import compress as compress_verb
from gscompress.cli.console import parse_size, size_text, stem
from gscompress.cli.convert import expand
from gscompress.cli.main import VERBS, run
from gscompress.cli.views import in_axes_of
from gscompress.errors import MissingExtraError, UsageError
from gscompress.frame import Frame


@pytest.fixture(scope="module")
def gscz(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("gscz") / "fruit.gscz"
    assert run(["compress", str(FRUIT), str(path), "--preset", "lossless"]) == 0
    return path


def report(capsys: pytest.CaptureFixture[str], *arguments: object) -> Any:
    """The JSON object that a successful ``--json`` run prints, and nothing else on stdout."""
    assert run([*map(str, arguments), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def fails(capsys: pytest.CaptureFixture[str], code: int, *arguments: object) -> str:
    """The one line that a failing run prints."""
    assert run([*map(str, arguments)]) == code
    captured = capsys.readouterr()
    assert captured.out == ""
    (line,) = [line for line in captured.err.splitlines() if not line.startswith("warning: ")]
    assert line.startswith("error: ")
    return line


def test_compress_and_decompress_bring_the_scene_back(
    gscz: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    facts = report(capsys, "decompress", gscz, tmp_path / "back.ply")
    assert facts["gaussians"] == 200
    assert (rows(formats.read(tmp_path / "back.ply")) == rows(formats.read(FRUIT))).all()


def test_compress_reports_sizes_and_where_the_bytes_went(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "a.gscz"
    facts = report(capsys, "compress", FRUIT, out, "--preset", "lossless", "--do", "sh:degree=1")
    assert facts["output_bytes"] == out.stat().st_size == facts["ledger"]["total_bytes"]
    assert facts["input_bytes"] == FRUIT.stat().st_size
    assert facts["recipe"]["transforms"] == [{"name": "sh", "config": {"degree": 1, "refit": 0}}]
    assert "sh2" not in facts["ledger"]["bytes_per_attribute"]


def test_quality_is_a_dial(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sizes = []
    for quality in (10, 50, 90):
        facts = report(
            capsys, "compress", FRUIT, tmp_path / f"{quality}.gscz", "--preset", "fast", "--quality", quality
        )
        sizes.append(facts["output_bytes"])
    assert sizes == sorted(sizes)
    assert sizes[0] < 0.7 * sizes[-1]


def test_pruned_gaussians_are_counted_without_decoding(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    faint = blob(300, 0)
    logits = faint.splats.logit_opacities.copy()
    logits[:100] = -9  # an opacity of 1e-4: no render can show it
    formats.write(replace(faint, splats=replace(faint.splats, logit_opacities=logits)), tmp_path / "faint.ply")
    facts = report(capsys, "compress", tmp_path / "faint.ply", tmp_path / "a.gscz")
    decoded = len(formats.read(tmp_path / "a.gscz"))
    assert facts["gaussians"] == 300
    assert facts["stored_gaussians"] == report(capsys, "info", tmp_path / "a.gscz")["stored"] == decoded <= 200


def test_target_size_is_met_from_below(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    facts = report(capsys, "compress", FRUIT, tmp_path / "a.gscz", "--preset", "fast", "--target-size", "4.5kB")
    assert 4300 < facts["output_bytes"] <= 4500


def test_a_report_is_one_page_with_the_quality_in_json_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "report.html"
    facts = report(capsys, "compress", FRUIT, tmp_path / "a.gscz", "--preset", "lossless", "--report", page)
    assert facts["report"] == str(page)
    assert all(view["identical"] for view in facts["quality"]["views"])
    assert "a.gscz" in page.read_text("utf-8")
    assert "--force" in fails(capsys, 2, "compress", FRUIT, tmp_path / "b.gscz", "--report", page)


def test_cameras_from_a_file_see_a_turned_scene_alike() -> None:
    scene, camera = (
        blob(20),
        Camera(64, 48, 50, 50, 32, 24, look_at(np.array([0.0, 0, -4]), np.zeros(3), np.array([0.0, -1, 0]))),
    )
    for axes in ("RDF", "RUB", "RFU", "RUF"):
        turned = scene.in_frame(Frame(axes))
        (seen,) = in_axes_of(turned, [camera])
        points = np.concatenate([turned.splats.means, np.ones((20, 1))], 1) @ seen.w2c.T
        expected = np.concatenate([scene.splats.means, np.ones((20, 1))], 1) @ camera.w2c.T
        np.testing.assert_allclose(points, expected, atol=1e-5)


def test_nothing_is_overwritten_without_force(gscz: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kept = tmp_path / "kept.gscz"
    kept.write_bytes(b"precious")
    for verb, source in (("compress", FRUIT), ("convert", FRUIT), ("decompress", gscz)):
        assert "--force" in fails(capsys, 2, verb, source, kept)
    assert kept.read_bytes() == b"precious"
    assert run(["compress", str(FRUIT), str(kept), "--preset", "lossless", "--force"]) == 0
    assert formats.detect(kept).name == "gscz"


def test_a_failing_run_leaves_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    broken = tmp_path / "in" / "broken.ply"
    broken.parent.mkdir()
    broken.write_bytes(FRUIT.read_bytes()[:-7])
    out = tmp_path / "out"
    out.mkdir()
    fails(capsys, 3, "compress", broken, out / "a.gscz")
    fails(capsys, 3, "convert", broken, out / "a.ply")
    fails(capsys, 3, "decompress", broken, out / "a.ply")
    fails(capsys, 2, "compress", FRUIT, out / "a.gscz", "--preset", "fast", "--target-size", "10")
    assert list(out.iterdir()) == []


def test_convert_takes_many_inputs_and_a_pattern(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = tmp_path / "other.npz"
    formats.write(blob(30, 1), other)
    facts = report(capsys, "convert", FRUIT, other, tmp_path / "{stem}-{index}.ply", "--do", "sh:degree=0")
    assert [Path(f["output"]).name for f in facts["files"]] == ["fruit-0.ply", "other-1.ply"]
    assert formats.read(tmp_path / "other-1.ply").splats.sh_degree == 0
    assert "{stem}" in fails(capsys, 2, "convert", FRUIT, other, tmp_path / "one.ply")
    assert "braces" in fails(capsys, 2, "convert", FRUIT, tmp_path / "{name}.ply")


def test_convert_reads_gscz_and_writes_what_compress_would(gscz: Path, tmp_path: Path) -> None:
    assert run(["convert", str(gscz), str(tmp_path / "a.spz")]) == 0
    assert run(["convert", str(tmp_path / "a.spz"), str(tmp_path / "a.gscz")]) == 0
    assert run(["compress", str(tmp_path / "a.spz"), str(tmp_path / "b.gscz")]) == 0
    assert (tmp_path / "a.gscz").read_bytes() == (tmp_path / "b.gscz").read_bytes()


def test_info_shows_the_ledger_without_decoding(gscz: Path, capsys: pytest.CaptureFixture[str]) -> None:
    facts = report(capsys, "info", gscz)
    assert facts["gaussians"] == 200
    assert facts["stored"] == 200
    assert facts["levels"] == 4
    assert sum(facts["ledger"]["bytes_per_attribute"].values()) == facts["size"] == gscz.stat().st_size
    assert run(["info", str(gscz)]) == 0
    text = capsys.readouterr().out
    assert "bits per Gaussian" in text
    assert "rotations" in text


def test_info_describes_any_format(capsys: pytest.CaptureFixture[str]) -> None:
    facts = report(capsys, "info", FRUIT)
    assert (facts["format"], facts["gaussians"], facts["sh_degree"]) == ("ply", 200, 3)
    assert np.array(facts["bounds"]).shape == (2, 3)
    assert run(["info", str(FRUIT)]) == 0
    assert "200" in capsys.readouterr().out


def test_verify_passes_whole_files_and_no_others(
    gscz: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert report(capsys, "verify", gscz)["ok"] is True
    assert report(capsys, "verify", FRUIT)["checks"] == ["decodes"]
    data = bytearray(gscz.read_bytes())
    data[-60] ^= 1
    (tmp_path / "bad.gscz").write_bytes(data)
    assert "corrupt" in fails(capsys, 3, "verify", tmp_path / "bad.gscz")
    (tmp_path / "cut.gscz").write_bytes(gscz.read_bytes()[:-40])
    assert "cut off" in fails(capsys, 3, "verify", tmp_path / "cut.gscz")


def test_a_cut_file_decodes_with_a_warning(gscz: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = gscz.read_bytes()
    (tmp_path / "cut.gscz").write_bytes(data[: len(data) * 2 // 3])
    assert run(["decompress", str(tmp_path / "cut.gscz"), str(tmp_path / "cut.ply")]) == 0
    assert "warning: the file is cut off" in capsys.readouterr().err
    assert 0 < formats.read(tmp_path / "cut.ply").splats.sh_degree < 3


def test_presets_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert report(capsys, "presets")["presets"]["lossless"]["quality_dial"] is False
    assert run(["presets"]) == 0
    assert "bit-exact" in capsys.readouterr().out


def test_demo_needs_nothing_but_the_package(capsys: pytest.CaptureFixture[str]) -> None:
    facts = report(capsys, "demo")
    assert facts["gaussians"] == 77119
    assert facts["gscz_bytes"] < facts["sog_bytes"] < facts["raw_bytes"]
    assert facts["psnr_mean"] > 30
    assert facts["ledger"]["total_bytes"] == facts["gscz_bytes"]


@pytest.mark.parametrize(
    "arguments",
    [
        ["compress", FRUIT, "a.ply"],
        ["compress", FRUIT, "a.gscz", "--preset", "nosuch"],
        ["compress", FRUIT, "a.gscz", "--preset", "lossless", "--quality", "50"],
        ["compress", FRUIT, "a.gscz", "--preset", "lossless", "--target-size", "1MB"],
        ["compress", FRUIT, "a.gscz", "--preset", "lossless", "--cameras", "cameras.json"],
        ["compress", FRUIT, "a.gscz", "--preset", "lossless", "--data", "photos"],
        ["compress", FRUIT, "a.gscz", "--data", "photos"],
        ["compress", FRUIT, "a.gscz", "--data", "photos", "--cameras", "cameras.json"],
        ["compress", FRUIT, "a.gscz", "--width", "100"],
        ["compress", FRUIT, "a.gscz", "--quality", "101"],
        ["compress", FRUIT, "a.gscz", "--quality", "high"],
        ["compress", FRUIT, "a.gscz", "--target-size", "big"],
        ["compress", FRUIT, "a.gscz", "--do", "nosuch"],
        ["compress", FRUIT, "a.gscz", "--do", "sh:degree=7"],
        ["compress", FRUIT, "missing/a.gscz"],
        ["compress", FRUIT],
        ["convert", FRUIT, "a.xyz"],
        ["convert", FRUIT],
        ["nosuch"],
        ["info", FRUIT, "--nosuch"],
    ],
    ids=lambda arguments: " ".join(map(str, arguments[2:])) or arguments[0],
)
def test_wrong_usage_exits_with_2(
    arguments: list[object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    fails(capsys, 2, *arguments)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("verb", ["info", "verify"])
def test_unreadable_input_exits_with_3(verb: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "empty.ply").write_bytes(b"")
    (tmp_path / "text.ply").write_text("hello")
    for path in (tmp_path / "missing.ply", tmp_path / "empty.ply", tmp_path / "text.ply", tmp_path):
        assert str(path) in fails(capsys, 3, verb, path)


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (MissingExtraError("torch", "tune", "tuning"), 4, "pip install 'gscompress[tune]'"),
        (KeyboardInterrupt(), 130, "interrupted"),
        (RuntimeError("two\nlines"), 1, "internal error: RuntimeError: two lines (set GSCOMPRESS_DEBUG=1"),
        (MemoryError(), 1, "out of memory"),
        (OSError(28, "No space left on device", "a.gscz"), 1, "a.gscz: No space left on device"),
    ],
    ids=["extra", "interrupt", "bug", "memory", "disk"],
)
def test_whatever_happens_is_one_line_and_an_exit_code(
    error: BaseException,
    code: int,
    text: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(compress_verb, "check_target", fail)
    assert text in fails(capsys, code, "compress", FRUIT, tmp_path / "a.gscz")


def test_failures_are_json_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["info", str(tmp_path / "missing.ply"), "--json"]) == 3
    captured = capsys.readouterr()
    assert json.loads(captured.out)["exit_code"] == 3
    assert captured.err.startswith("error: ")


def test_debugging_shows_the_traceback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GSCOMPRESS_DEBUG", "1")
    assert run(["info", str(tmp_path / "missing.ply")]) == 3
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([verb, "--help"]) == 0
    assert "Usage: gscompress" in capsys.readouterr().out


def test_no_verb_at_all_shows_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert run([]) == 2
    listed = capsys.readouterr().out
    assert all(f"  {verb} " in listed for verb in VERBS)
    assert run(["--version"]) == 0
    assert capsys.readouterr().out.startswith("gscompress ")


def test_sizes_are_read_and_shown() -> None:
    for text, size in {"5MB": 5_000_000, "1.5 MiB": 1_572_864, "700k": 700_000, "123": 123, "2gb": 2 * 10**9}.items():
        assert parse_size(text) == size
    for text in ("", "MB", "0", "-1MB", "5XB", "1e99", "nan", "inf"):
        with pytest.raises(UsageError):
            parse_size(text)
    assert [size_text(n) for n in (7, 1500, 25_515_673, 316e6, 2.5e9)] == [
        "7 B",
        "1.5 kB",
        "25.5 MB",
        "316 MB",
        "2.5 GB",
    ]


def test_output_patterns() -> None:
    assert stem(Path("x/a.compressed.ply")) == "a"
    assert stem(Path("b.v2.ply")) == "b.v2"
    assert expand([Path("a.ply"), Path("b.ply")], "out/{index:03d}-{stem}.spz") == [
        Path("out/000-a.spz"),
        Path("out/001-b.spz"),
    ]
    for pattern in ("{stem", "{0}", "{stem.nope}", "{}"):
        with pytest.raises(UsageError):
            expand([Path("a.ply")], pattern)
