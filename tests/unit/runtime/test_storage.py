"""Faults of storage are told from faults of photos, and name the file."""

import errno
import shutil

import numpy as np
import pandas as pd
import pytest

from facemill.runtime import storage
from facemill.runtime.errors import PhotoError
from facemill.runtime.files import atomic_folder, atomic_path, load_arrays, save_arrays, write_text
from facemill.runtime.storage import DamagedFileError, StorageError, is_machine_fault
from facemill.runtime.tables import map_photos, read_table, write_table

PHOTOS = pd.DataFrame({"photo": ["ann", "bob"], "status": "ok", "reason": ""})


def fail_to_write(path, error):
    with atomic_path(path) as partial:
        partial.write_text("half")
        raise error


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOSPC, "no space left on the disk"),
        (errno.EDQUOT, "quota is used up"),
        (errno.EROFS, "read-only"),
        (errno.EACCES, "no permission"),
    ],
)
def test_the_file_the_reason_and_the_remedy_are_named_and_nothing_stays(tmp_path, number, words):
    with pytest.raises(
        StorageError, match=rf"a\.txt cannot be written(.|\n)*{words}(.|\n)*start the same command"
    ):
        fail_to_write(tmp_path / "a.txt", OSError(number, "as the system says it"))
    assert not list(tmp_path.iterdir())


def test_an_error_without_a_number_is_storage_s_where_the_disk_is_full(tmp_path, monkeypatch):
    with pytest.raises(RuntimeError, match="unexpected pos"):
        fail_to_write(tmp_path / "a.pth", RuntimeError("unexpected pos 576 vs 534"))
    full = shutil._ntuple_diskusage(100, 100, 0)
    monkeypatch.setattr(storage.shutil, "disk_usage", lambda place: full)
    with pytest.raises(
        StorageError, match=r"a\.pth cannot be written(.|\n)*no space left(.|\n)*0\.0 MB free"
    ):
        fail_to_write(tmp_path / "a.pth", RuntimeError("unexpected pos 576 vs 534"))
    with pytest.raises(ZeroDivisionError):
        fail_to_write(tmp_path / "a.pth", ZeroDivisionError())


def test_a_photo_that_may_not_be_read_is_not_blamed_on_the_results(tmp_path):
    photo = tmp_path / "photos" / "ann.jpg"
    with pytest.raises(PermissionError), atomic_folder(tmp_path / "results" / "crops"):
        raise PermissionError(errno.EACCES, "Permission denied", str(photo))


def test_a_file_where_a_folder_should_be_is_not_hidden(tmp_path):
    (tmp_path / "results").write_text("a file")
    with pytest.raises(FileExistsError):
        write_text(tmp_path / "results" / "a.txt", "text")


@pytest.mark.parametrize(
    "fault",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        DamagedFileError("ann.png cannot be read", "a PNG", "half of one", "delete it"),
        StorageError("ann.png cannot be written", "room", "none", "make room"),
    ],
)
def test_no_photo_is_blamed_for_a_fault_of_storage(fault):
    def write(row):
        if row["photo"] == "ann":
            raise fault
        return {}

    assert is_machine_fault(fault)
    with pytest.raises(type(fault)):
        map_photos(PHOTOS, write, [])


@pytest.mark.parametrize(
    "fault", [PhotoError("no_face", "none"), ValueError("never mind"), FileNotFoundError(2, "x")]
)
def test_other_faults_stay_the_photo_s(fault):
    def fail(row):
        if row["photo"] == "ann":
            raise fault
        return {}

    assert map_photos(PHOTOS, fail, [])["status"].tolist()[1] == "ok"


def damaged(path, count, seed=0):
    """Copies of a file with one bit altered, in turn at many places."""
    stored = path.read_bytes()
    places = np.random.default_rng(seed).integers(0, len(stored), count)
    for place in places:
        altered = bytearray(stored)
        altered[place] ^= 0x10
        path.write_bytes(altered)
        yield path
    path.write_bytes(stored)


def test_an_altered_bit_of_a_table_is_seen_or_harmless(tmp_path):
    table = pd.DataFrame({"x": np.arange(500.0) ** 1.5, "name": [f"n{n}" for n in range(500)]})
    write_table(tmp_path / "a.parquet", table)
    seen = 0
    for path in damaged(tmp_path / "a.parquet", 200):
        try:
            pd.testing.assert_frame_equal(read_table(path), table)
        except DamagedFileError as error:
            assert "a.parquet" in str(error) and "delete it" in str(error)
            seen += 1
    assert seen > 100


@pytest.mark.parametrize("compressed", [False, True])
def test_an_altered_bit_of_arrays_is_seen_or_harmless(tmp_path, compressed):
    arrays = {"x": np.random.default_rng(0).normal(size=(40, 3)), "name": np.array(["ann", "bob"])}
    save_arrays(tmp_path / "a.npz", arrays, compressed)
    seen = 0
    for path in damaged(tmp_path / "a.npz", 200):
        try:
            found = load_arrays(path)
        except DamagedFileError as error:
            assert "a.npz" in str(error) and "delete it" in str(error)
            seen += 1
        else:
            assert all(np.array_equal(found[name], value) for name, value in arrays.items() if name in found)
    assert seen > 100


@pytest.mark.parametrize("length", [0, 1, 0.5])
def test_files_cut_short_are_named(tmp_path, length):
    save_arrays(tmp_path / "a.npz", {"x": np.arange(10)})
    write_table(tmp_path / "a.parquet", PHOTOS)
    for name, read in (("a.npz", load_arrays), ("a.parquet", read_table)):
        content = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(content[: int(length if length == 1 else length * len(content))])
        with pytest.raises(DamagedFileError, match=name.replace(".", r"\.")):
            read(tmp_path / name)
