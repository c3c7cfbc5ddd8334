"""Files that are whole or absent."""

import os
import stat

import numpy as np
import pytest

from facemill.runtime.errors import FormatError
from facemill.runtime.files import (
    atomic_folder,
    atomic_path,
    load_arrays,
    merged_folder,
    remove_partials,
    save_arrays,
    scratch_folder,
    write_json,
    write_text,
)


def test_a_file_appears_only_when_the_block_ends_well(tmp_path):
    path = tmp_path / "new" / "a.txt"
    with atomic_path(path) as partial:
        partial.write_text("whole")
        assert partial.suffix == ".txt" and not path.exists()
    assert path.read_text() == "whole" and list(path.parent.iterdir()) == [path]


def test_a_failure_leaves_the_old_file_and_no_rest(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(RuntimeError), atomic_path(path) as partial:
        partial.write_text("half")
        raise RuntimeError
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


def test_files_and_folders_get_the_usual_permissions(tmp_path):
    mask = os.umask(0o027)
    try:
        write_text(tmp_path / "a.txt", "x")
        with atomic_folder(tmp_path / "folder"):
            pass
    finally:
        os.umask(mask)
    assert stat.S_IMODE((tmp_path / "a.txt").stat().st_mode) == 0o640
    assert stat.S_IMODE((tmp_path / "folder").stat().st_mode) == 0o750


def test_what_killed_writers_left_is_removed_and_nothing_else(tmp_path):
    writing = atomic_path(tmp_path / "deep" / "table.parquet"), atomic_folder(tmp_path / "deep" / "faces")
    for writer in writing:
        writer.__enter__()  # and never left, as by a process that is killed
    scratch = scratch_folder(tmp_path / "deep")
    (scratch.__enter__() / "row.npy").touch()
    (tmp_path / "deep" / "whole.parquet").touch()
    assert remove_partials(tmp_path) == 3
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["whole.parquet"]
    assert remove_partials(tmp_path) == remove_partials(tmp_path / "missing") == 0


def test_a_folder_replaces_the_old_one_as_a_whole(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "old").touch()
    with atomic_folder(tmp_path / "folder") as partial:
        (partial / "new").touch()
        assert (tmp_path / "folder" / "old").exists()
    assert [path.name for path in (tmp_path / "folder").iterdir()] == ["new"]
    with pytest.raises(RuntimeError), atomic_folder(tmp_path / "folder") as partial:
        raise RuntimeError
    assert [path.name for path in tmp_path.rglob("*")] == ["folder", "new"]


def test_arrays_survive_and_equal_arrays_give_equal_bytes(tmp_path):
    arrays = {"a": np.arange(6.0).reshape(2, 3), "name": np.array("facemill")}
    for compressed in (False, True):
        paths = [tmp_path / f"{number}{compressed}.npz" for number in range(2)]
        for path in paths:
            save_arrays(path, arrays, compressed)
        assert paths[0].read_bytes() == paths[1].read_bytes()
        again = load_arrays(paths[0], required=("a", "name"))
        assert (again["a"] == arrays["a"]).all() and str(again["name"]) == "facemill"


def test_pickles_are_neither_written_nor_read(tmp_path):
    with pytest.raises(TypeError, match="bad is an object array"):
        save_arrays(tmp_path / "a.npz", {"bad": np.array([{}], dtype=object)})
    assert not list(tmp_path.iterdir())
    np.savez(tmp_path / "b.npz", bad=np.array([{}], dtype=object))
    with pytest.raises(FormatError, match="cannot be read"):
        load_arrays(tmp_path / "b.npz")


def test_missing_damaged_and_incomplete_archives_are_named(tmp_path):
    with pytest.raises(FormatError, match=r"a\.npz is missing"):
        load_arrays(tmp_path / "a.npz")
    (tmp_path / "a.npz").write_bytes(b"not a zip")
    with pytest.raises(FormatError, match="cannot be read"):
        load_arrays(tmp_path / "a.npz")
    save_arrays(tmp_path / "a.npz", {"x": np.zeros(2)})
    with pytest.raises(FormatError, match="lacks y, z"):
        load_arrays(tmp_path / "a.npz", required=("x", "y", "z"))


def test_json_is_sorted_readable_and_free_of_nan(tmp_path):
    write_json(tmp_path / "a.json", {"b": "顔", "a": 1.5})
    assert (tmp_path / "a.json").read_text(encoding="utf-8") == '{\n  "a": 1.5,\n  "b": "顔"\n}\n'
    with pytest.raises(ValueError, match="JSON compliant"):
        write_json(tmp_path / "b.json", float("nan"))
    assert not (tmp_path / "b.json").exists()


def test_merged_folders_keep_what_others_wrote(tmp_path):
    place = tmp_path / "faces" / "ann"
    with merged_folder(place) as folder:
        (folder / "mesh").write_text("old")
        assert not place.exists()
    (place / "expressions").mkdir()
    (place / "expressions" / "smile").write_text("kept")
    with merged_folder(place) as folder:
        (folder / "mesh").write_text("new")
        (folder / "map").write_text("added")
    assert (place / "mesh").read_text() == "new" and (place / "map").read_text() == "added"
    assert (place / "expressions" / "smile").read_text() == "kept"
    assert [path.name for path in place.parent.iterdir()] == ["ann"]


def test_a_merged_folder_is_untouched_when_writing_fails(tmp_path):
    with merged_folder(tmp_path / "ann") as folder:
        (folder / "mesh").write_text("old")
    with pytest.raises(OSError, match="full"), merged_folder(tmp_path / "ann") as folder:
        (folder / "mesh").write_text("half")
        raise OSError("the disk is full")
    assert (tmp_path / "ann" / "mesh").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["ann"]
