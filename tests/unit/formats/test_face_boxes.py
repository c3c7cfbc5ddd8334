"""Boxes of the NoW benchmark: a pickled dictionary is read, anything that could run code is not."""

import io
import pickle

import numpy as np
import pytest

from facemill.formats.face_boxes import read_face_box
from facemill.formats.now import NowCase
from facemill.formats.now_writer import write_face_box
from facemill.runtime.errors import FormatError

SIDES = {"left": 10.5, "top": np.float64(20.0), "right": np.int64(110), "bottom": np.float32(140.0)}


def write(path, value, protocol=2, dtype=object):
    """A `.npy` of one object, as numpy under Python 2 (protocol 2) or 3 (protocol 3 and above) writes it."""
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        stream, {"descr": np.dtype(dtype).str, "fortran_order": False, "shape": ()}
    )
    pickle.dump(np.array(value, dtype=object), stream, protocol=protocol)
    path.write_bytes(stream.getvalue())
    return path


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_a_box_of_the_benchmark(tmp_path, protocol):
    box = read_face_box(write(tmp_path / "a.npy", SIDES, protocol))
    assert box.tolist() == [10.5, 20.0, 110.0, 140.0] and box.dtype == np.float64


def test_what_numpy_itself_writes_and_what_python_2_wrote(tmp_path):
    np.save(tmp_path / "a.npy", np.array(SIDES, dtype=object), allow_pickle=True)
    assert read_face_box(tmp_path / "a.npy").tolist() == [10.5, 20.0, 110.0, 140.0]
    path = write(tmp_path / "b.npy", SIDES)
    old = path.read_bytes().replace(b"numpy._core.multiarray", b"numpy.core.multiarray")
    assert old != path.read_bytes()
    path.write_bytes(old)
    assert read_face_box(path).tolist() == [10.5, 20.0, 110.0, 140.0]


def test_four_plain_numbers(tmp_path):
    write_face_box(tmp_path, NowCase("ann", "selfie", "1", "ann/selfie/1.jpg"), [1.5, 2, 30, 40])
    assert read_face_box(tmp_path / "selfie" / "1.npy").tolist() == [1.5, 2.0, 30.0, 40.0]


class Intruder:
    """Unpickled as usual, it would leave a file."""

    def __init__(self, place):
        self.place = place

    def __reduce__(self):
        return (open, (str(self.place), "w"))


@pytest.mark.parametrize("place", ["value", "whole"])
def test_code_in_the_pickle_does_not_run(tmp_path, place):
    intruder = Intruder(tmp_path / "trace")
    path = write(tmp_path / "a.npy", {"left": intruder} if place == "value" else intruder)
    with pytest.raises(FormatError, match="it holds an object of"):
        read_face_box(path)
    assert not (tmp_path / "trace").exists()


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ({"left": 1, "top": 2, "right": 3}, "holds no box"),
        ({**SIDES, "right": 5.0}, "holds no box"),
        ({**SIDES, "top": float("nan")}, "holds no box"),
        ([1, 2, 3, 4], "an array of another kind"),
    ],
    ids=["three sides", "right of left", "nan", "list"],
)
def test_no_box(tmp_path, value, words):
    with pytest.raises(FormatError, match=words):
        read_face_box(write(tmp_path / "a.npy", value))


def test_other_files(tmp_path):
    np.save(tmp_path / "plain.npy", np.zeros(5))
    (tmp_path / "cut.npy").write_bytes(write(tmp_path / "a.npy", SIDES).read_bytes()[:150])
    (tmp_path / "page.npy").write_text("<html>not found</html>")
    (tmp_path / "large.npy").write_bytes(b"\x93NUMPY\x01\x00" + bytes(20_000))
    for name in ("plain", "cut", "page", "large", "nothing"):
        with pytest.raises(FormatError, match=f"{name}.npy (cannot be read|is too large|is missing)"):
            read_face_box(tmp_path / f"{name}.npy")
