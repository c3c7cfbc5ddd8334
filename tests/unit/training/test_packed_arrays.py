"""Packed shards are mapped, may lack what older versions did not write, and are refused by name."""

import numpy as np
import pytest

from facemill.runtime.errors import FormatError
from facemill.training.packed_arrays import PackedRows, open_packed


@pytest.fixture
def folder(tmp_path):
    np.save(tmp_path / "photo.npy", np.array(["ann", "bob"]))
    np.save(tmp_path / "crops.npy", np.arange(8).reshape(2, 2, 2))
    np.save(tmp_path / "window.npy", np.arange(5))
    return tmp_path


def open_toy(folder):
    return open_packed(folder, "pack_toys", ("photo", "crops", "person"), ("window",), ("person",))


def test_arrays_are_mapped_and_optional_ones_may_be_absent(folder):
    arrays = open_toy(folder)
    assert set(arrays) == {"photo", "crops", "window"}
    assert isinstance(arrays["crops"], np.memmap) and arrays["crops"][1, 1, 1] == 7
    np.save(folder / "person.npy", np.array(["a", "a"]))
    assert list(open_toy(folder)["person"]) == ["a", "a"]


def test_missing_and_unlike_arrays_are_named_with_the_rule_that_makes_them(folder):
    np.save(folder / "person.npy", np.array(["a"]))
    with pytest.raises(FormatError, match=r"(?s)different length.*person 1.*pack_toys again"):
        open_toy(folder)
    np.save(folder / "person.npy", np.array("a"))
    with pytest.raises(FormatError, match=r"(?s)different length.*person a single value"):
        open_toy(folder)
    (folder / "crops.npy").unlink()
    with pytest.raises(FormatError, match=r"crops\.npy"):
        open_toy(folder)


def test_rows_of_several_shards_are_chosen_by_name(folder):
    other = {"photo": np.array(["cid", "ann"]), "crops": np.arange(8, 16).reshape(2, 2, 2)}
    shards = [open_toy(folder), other]
    every = PackedRows(shards, None, frozenset())
    assert [every.photo(number) for number in range(len(every))] == ["ann", "bob", "cid", "ann"]
    assert every.row(3, ("crops",))["crops"][1, 1] == 15 and every.column("photo")[2] == "cid"
    some = PackedRows(shards, frozenset({"ann", "cid"}), frozenset({"cid"}))
    assert some.places.tolist() == [[0, 0], [1, 1]]
    assert len(PackedRows([], None, frozenset())) == 0
