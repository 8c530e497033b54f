"""Laws of .ksplat, with files from a slow writer: every level and SH degree, full and partly filled buckets."""

from __future__ import annotations

import struct
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ksplat_builder import BLOCK, SH_RANGE, STEPS, build_ksplat, row_order
from scene_strategies import degrees_between, opacity, random_scene

from gscompress.errors import UnreadableError, UsageError
from gscompress.events import EventLog
from gscompress.formats.ksplat import KsplatFormat
from gscompress.scene import Splats

FORMAT = KsplatFormat()


def splats_of(count: int, degree: int, seed: int) -> Splats:
    splats = random_scene(count, degree, seed, spread=6).splats
    unit = splats.quats / np.linalg.norm(splats.quats, axis=1, keepdims=True)
    sh = np.concatenate([splats.sh[:, :1] / 4, splats.sh[:, 1:]], axis=1)
    scales = np.maximum(splats.log_scales, -9)  # half floats below exp(-9.7) lose digits
    return replace(splats, quats=unit, log_scales=scales, sh=np.clip(sh, -1.2, 1.7))


def read_bytes(data: bytes, folder: Path, log: EventLog | None = None) -> Splats:
    path = folder / "a.ksplat"
    path.write_bytes(data)
    return FORMAT.read(path, log or EventLog()).splats


@pytest.mark.parametrize("degree", range(4))
@pytest.mark.parametrize("level", range(3))
def test_every_level_and_degree_reads_back(level: int, degree: int, tmp_path: Path) -> None:
    sections = [splats_of(150, degree, 1), splats_of(70, degree, 2)]
    back = read_bytes(build_ksplat(sections, level), tmp_path)
    parts = [s.take(row_order(s)) for s in sections]
    for name, tolerance in {
        "means": 0 if level == 0 else BLOCK / STEPS / 4 * 1.01,
        "log_scales": 1e-6 if level == 0 else 2.0**-10,
        "sh": (1e-6, 2.0**-10, (SH_RANGE[1] - SH_RANGE[0]) / 255 / 2 * 1.001)[level],
    }.items():
        one, two = np.concatenate([getattr(part, name) for part in parts]), getattr(back, name)
        if name == "sh":
            assert np.abs(one[:, 0] - two[:, 0]).max() <= 0.5 / 255 / 0.282
            one, two = one[:, 1:], two[:, 1:]
        assert np.abs(one - two).max(initial=0) <= tolerance, name
    assert degrees_between(np.concatenate([part.quats for part in parts]), back.quats).max() < 0.15
    logits = np.concatenate([part.logit_opacities for part in parts])
    assert np.abs(opacity(logits) - opacity(back.logit_opacities)).max() <= 0.5 / 255 + 1e-6


def test_sections_of_different_degree_share_the_highest(tmp_path: Path) -> None:
    back = read_bytes(build_ksplat([splats_of(8, 0, 1), splats_of(8, 2, 2)], 1), tmp_path)
    assert back.sh.shape == (16, 9, 3)
    assert (back.sh[:8, 1:] == 0).all()
    assert (back.sh[8:, 1:] != 0).any()


def test_scales_of_zero_are_cleaned_and_said(tmp_path: Path) -> None:
    splats = splats_of(4, 0, 3)
    splats.log_scales[2] = -200
    log = EventLog()
    back = read_bytes(build_ksplat([splats], 0, bucket_size=1), tmp_path, log)
    assert (back.log_scales[2] == -20).all()
    assert any("3 scales that are zero" in text for text in log.warnings)


def test_no_gaussians_and_no_sections_are_a_scene(tmp_path: Path) -> None:
    assert len(read_bytes(build_ksplat([], 0), tmp_path)) == 0
    assert len(read_bytes(build_ksplat([splats_of(0, 1, 0)], 1), tmp_path)) == 0


@pytest.mark.parametrize(
    ("offset", "code", "value", "message"),
    [
        (1, "B", 0, "version"),
        (4, "I", 2**32 - 1, "promises 4294967295 sections"),
        (16, "I", 99, "promises 99 Gaussians"),
        (20, "H", 3, "compression level 3"),
        (4096, "I", 2**31, "ends beyond the file"),
        (4096 + 40, "H", 4, "SH of degree 4"),
        (4096 + 12, "I", 2**30, "ends beyond the file"),
        (4096 + 32, "I", 2**31, "buckets that do not fit"),
        (4096 + 36, "I", 0, "belong to no bucket"),
    ],
)
def test_lying_headers_are_refused(offset: int, code: str, value: int, message: str, tmp_path: Path) -> None:
    data = bytearray(build_ksplat([splats_of(20, 1, 4)], 1))
    struct.pack_into("<" + code, data, offset, value)
    with pytest.raises(UnreadableError, match=message):
        read_bytes(bytes(data), tmp_path)


def test_a_section_holds_no_more_than_its_own_limit(tmp_path: Path) -> None:
    data = bytearray(build_ksplat([splats_of(20, 0, 4)], 0)) + bytes(440)  # room for ten more, were they allowed
    struct.pack_into("<I", data, 16, 21)
    struct.pack_into("<I", data, 4096, 21)
    with pytest.raises(UnreadableError, match="section 0"):
        read_bytes(bytes(data), tmp_path)


def test_it_is_read_only(tmp_path: Path) -> None:
    assert not FORMAT.writable
    with pytest.raises(UsageError, match="does not write"):
        FORMAT.write(random_scene(1, 0, 0), tmp_path / "a.ksplat", EventLog())
