"""Sequences: frames in natural order, read when asked for; and who can tell rows that are tracked."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest
from moving_scenes import bent, shell, shuffled, turned

from gscompress import formats
from gscompress.errors import UnreadableError, UsageError
from gscompress.sequence import gathered, is_tracked, natural, read_sequence


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "frames"
    place.mkdir()
    for number in (10, 2, 1):
        formats.write(shell(number), place / f"f{number}.ply")
    (place / "notes.txt").write_text("no frame")
    return place


def test_a_folder_is_read_in_natural_order_and_only_when_asked(folder: Path) -> None:
    (folder / "f3.ply").write_bytes(b"ply\nbroken")
    sequence = read_sequence(folder, 24.0)
    assert sequence.names == ("f1.ply", "f2.ply", "f3.ply", "f10.ply")
    assert sequence.fps == 24.0
    assert [len(sequence.frames[i]) for i in (0, 1, 3)] == [1, 2, 10]
    with pytest.raises(UnreadableError, match=r"f3\.ply"):
        _ = sequence.frames[2]


def test_a_zip_and_a_list_hold_the_same_frames_as_the_folder(folder: Path, tmp_path: Path) -> None:
    packed = tmp_path / "frames.zip"
    with zipfile.ZipFile(packed, "w") as archive:
        for path in folder.iterdir():
            archive.write(path, f"inside/{path.name}")
    for source in (packed, [folder / name for name in ("f1.ply", "f2.ply", "f10.ply")]):
        sequence = read_sequence(source)
        assert sequence.names == ("f1.ply", "f2.ply", "f10.ply")
        assert [len(scene) for scene in sequence] == [1, 2, 10]
        assert [len(scene) for scene in sequence.frames[1:]] == [2, 10]


def test_what_is_no_sequence_is_one_line(tmp_path: Path) -> None:
    for source in (tmp_path, tmp_path / "nowhere", []):
        with pytest.raises(UnreadableError):
            read_sequence(source)
    with pytest.raises(UsageError, match="frames per second"):
        read_sequence(tmp_path, 0.0)


def test_numbers_in_names_sort_as_numbers() -> None:
    assert sorted(["a10", "b1", "a9", "a09b"], key=natural) == ["a9", "a09b", "a10", "b1"]


def test_tracked_rows_move_like_their_neighbours_and_shuffled_ones_do_not() -> None:
    scene = shell()
    assert is_tracked(scene, scene)
    assert is_tracked(scene, turned(scene, 0.3, 1.1, (0.2, 0, 0)))
    assert is_tracked(scene, bent(scene, 0.2))
    assert not is_tracked(scene, shuffled(scene))
    assert not is_tracked(scene, shell(1999))
    assert not is_tracked(scene, shell(degree=1))


def test_views_of_a_sequence_are_placed_for_frames_from_start_to_end() -> None:
    scenes = [shell(10 + t) for t in range(9)] + [shell(50, 1)]
    assert len(gathered(scenes, 5)) == 10 + 12 + 14 + 16  # the last frame has another SH degree
    assert len(gathered(scenes[:1])) == 10
    assert gathered(scenes[:2]).splats.extras == {}
