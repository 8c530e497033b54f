"""The verbs as a user runs them, and their pages as a browser shows them."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from specimens import blob

from gscompress import formats
from gscompress.bench import plot
from gscompress.bench.results import SceneResults
from gscompress.cli.main import run
from gscompress.errors import MissingExtraError


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("scene") / "blob.ply"
    formats.write(blob(300, 1), path)
    return path


@pytest.fixture(scope="module")
def bench(scene: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One real run of two cells in four processes."""
    out = tmp_path_factory.mktemp("bench")
    wish = ["--codecs", "spz:3/2+8/8", "--views", "2", "--size", "96x72"]
    assert run(["bench", str(scene), "-o", str(out), *wish]) == 0
    return out


@pytest.fixture(scope="module")
def comparison(scene: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("compare")
    one = formats.read(scene)
    formats.write(replace(one, splats=replace(one.splats, sh=one.splats.sh + np.float32(0.1))), folder / "b.sog")
    arguments = [str(scene), str(folder / "b.sog"), "-o", str(folder / "page.html"), "--cameras", "auto:3"]
    assert run(["compare", *arguments, "--size", "96x72"]) == 0
    return folder / "page.html"


def test_a_run_leaves_tables_plots_and_a_page(bench: Path, scene: Path) -> None:
    for name in ("results/scenes/blob.csv", "results.json", "results.md", "rd-blob.png", "index.html"):
        assert (bench / name).stat().st_size > 200
    found = json.loads((bench / "results.json").read_text())
    cells = {f"{cell['codec']} {cell['point']}": cell for cell in found["cells"]}
    assert list(cells) == ["spz 3/2", "spz 8/8"]
    for cell in cells.values():
        stored = next((bench / "cells" / "blob" / cell["codec"] / cell["point"].replace("/", "-")).glob("blob.*"))
        assert cell["bytes"] == stored.stat().st_size
        assert cell["gaussians"] == 300
        assert cell["decode"]["seconds"] > 0
    assert 15 < cells["spz 3/2"]["psnr"] < cells["spz 8/8"]["psnr"]
    assert cells["spz 8/8"]["worst"]["psnr"] <= cells["spz 8/8"]["psnr"]
    assert found["scenes"][0]["bytes"] == scene.stat().st_size
    assert found["machine"]["cores"] >= 1


def test_two_measurements_of_a_cell_agree(bench: Path, scene: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = bench / "cells" / "blob" / "spz" / "8-8" / "cell.json"
    first = json.loads(path.read_text())
    path.unlink()
    wish = ["--codecs", "spz:8/8", "--views", "2", "--size", "96x72", "--json"]
    assert run(["bench", str(scene), "-o", str(bench), *wish]) == 0
    second = json.loads(path.read_text())
    assert second["bytes"] == first["bytes"]
    assert second["psnr"] == pytest.approx(first["psnr"], abs=0.01)
    assert len(json.loads(capsys.readouterr().out)["scenes"][0]["cells"]) == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "bench needs scenes"),
        (["{scene}", "-o", "{out}", "--codecs", "nosuch"], "unknown codec"),
        (["{scene}", "-o", "{out}", "--anchor", "nosuch"], "unknown codec"),
        (["{scene}", "-o", "{out}", "--protocol", "nosuch"], "unknown protocol"),
        (["{scene}", "-o", "{out}", "--protocol", "photos"], "give them with --data"),
        (["{scene}", "-o", "{out}", "--set", "a/b"], "no folder name"),
        (["{scene}", "-o", "{scene}"], "is a file"),
    ],
)
def test_wrong_wishes_are_refused_before_any_work(
    arguments: list[str], message: str, scene: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    filled = [argument.format(scene=scene, out=tmp_path / "out") for argument in arguments]
    assert run(["bench", *filled]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_without_matplotlib_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "matplotlib", None)
    with pytest.raises(MissingExtraError, match=r"gscompress\[bench\]"):
        plot.need_matplotlib()


def test_a_scene_that_nothing_loses_has_a_plot_too(tmp_path: Path) -> None:
    cell = {"codec": "xz", "title": "xz", "bytes": 9, "psnr": None, "identical": True, "ours": False, "status": "done"}
    facts = {"name": "s", "gaussians": 3, "sh_degree": 0}
    plot.draw([SceneResults(facts, [cell], [])], tmp_path / "rd.png")
    assert (tmp_path / "rd.png").stat().st_size > 200


def test_install_hints_need_no_scene(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["bench", "--install-hints", "--json"]) == 0
    hints = {entry["codec"]: entry for entry in json.loads(capsys.readouterr().out)["codecs"]}
    assert hints["brotli"]["install"] == "pip install brotli"


def test_compare_says_sizes_parts_and_distance(scene: Path, comparison: Path, capsys) -> None:
    other = comparison.parent / "b.sog"
    arguments = [str(scene), str(other), "-o", str(comparison), "--cameras", "auto:2", "--size", "64x48", "--json"]
    assert run(["compare", *arguments]) == 2  # exists
    capsys.readouterr()
    assert run(["compare", *arguments[:3], str(comparison.with_name("c.html")), *arguments[4:]]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["b_bytes"] == sum(said["b_parts"].values()) == other.stat().st_size
    assert "means_l.webp" in said["b_parts"]
    assert said["a_bytes"] == sum(said["a_parts"].values())
    assert said["a_parts"]["position"] == 300 * 12
    assert {"sh", "dc", "scale", "rotation", "opacity", "header"} <= set(said["a_parts"])
    assert 20 < said["psnr"] < 60
    assert run(["compare", str(scene), str(other), "-o", str(comparison.with_name("c.png"))]) == 2


@pytest.mark.parametrize("page", ["bench", "comparison"])
def test_pages_load_nothing_from_elsewhere(page: str, request: pytest.FixtureRequest) -> None:
    made: Path = request.getfixturevalue(page)
    text = (made / "index.html" if made.is_dir() else made).read_text()
    addresses = set(re.findall(r"""(?:src|href|url)\s*[=(]\s*["']?(\w+:[^"')\s]{1,30})""", text)) | set(
        re.findall(r"https?://[^\s\"'<]+", text)
    )
    assert {address for address in addresses if not address.startswith("data:")} <= {"http://www.w3.org/2000/svg"}
    assert "$" not in re.sub(r"<script.*?</script>", "", text, flags=re.DOTALL)


def test_the_pages_work_in_chromium(bench: Path, comparison: Path, tmp_path: Path) -> None:
    pytest.importorskip("websockets")
    from viewer.chromium import BINARY, Chromium, wait_for

    if BINARY is None:
        pytest.skip("no Chromium here")
    with Chromium((bench / "index.html").as_uri(), tmp_path / "profile") as page:
        wait_for(lambda: page.evaluate("document.querySelectorAll('.hit').length") == 2, "the plot")
        shown = "[...document.querySelectorAll('.pane img')].map(i => i.decode().then(() => i.naturalWidth))"
        assert page.evaluate(f"Promise.all({shown})") == [96, 96, 96]
        hover = "new PointerEvent('pointerenter', {clientX: 50, clientY: 50})"
        page.evaluate(f"document.querySelector('.hit').dispatchEvent({hover})")
        assert "SPZ v4 3/2" in page.evaluate("document.getElementById('tip').textContent")
        page.evaluate("document.querySelector('.legend button').click()")
        assert page.evaluate("document.querySelectorAll('.hit').length") == 0
        assert page.evaluate("document.querySelectorAll('#table tr').length") == 3

        page.call("Page.navigate", url=comparison.as_uri())
        wait_for(lambda: page.evaluate("document.querySelectorAll('#stage img').length") == 3, "the pictures")
        visible = "document.querySelector('#stage img:not([hidden])').className"
        page.evaluate("set('a')")
        assert page.evaluate(visible) == "a"
        page.evaluate("dispatchEvent(new KeyboardEvent('keydown', {key: ' '}))")
        assert page.evaluate(visible) == "b"
        page.evaluate("dispatchEvent(new KeyboardEvent('keydown', {key: 'd'}))")
        assert page.evaluate(visible) == "d"
        assert "overflow" not in page.evaluate("document.body.scrollWidth > innerWidth ? 'overflow' : 'fits'")
