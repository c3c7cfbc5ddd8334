"""MGCNet's training files: round trips, a file written by hand, and hostile input."""

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from facemill.formats.mgcnet import (
    TEMPLATE,
    Triplet,
    TripletName,
    mgcnet_intrinsics,
    read_split,
    read_triplet,
    template_points,
    write_split,
    write_triplet,
)
from facemill.runtime.errors import FormatError

NAME = TripletName(2, "lfw/ann", "0007")


def triplet_of(poses=None):
    """Views of one colour each, red, green, blue; landmarks that tell view, number and axis."""
    pictures = np.zeros((3, 224, 224, 3), np.uint8)
    for view in range(3):
        pictures[view, ..., view] = 200
    skin = np.zeros((3, 224, 224), np.uint8)
    skin[:] = np.array([0, 128, 255], np.uint8)[:, None, None]
    landmarks = np.arange(3 * 68 * 2, dtype=float).reshape(3, 68, 2) / 4
    intrinsics = np.stack([mgcnet_intrinsics() * (1 + view) for view in range(3)])
    return Triplet(pictures, skin, intrinsics, landmarks, poses)


@pytest.mark.parametrize("poses", [None, np.arange(18.0).reshape(3, 6)], ids=["without poses", "with poses"])
def test_round_trip(tmp_path, poses):
    wanted = triplet_of(poses)
    write_triplet(tmp_path, NAME, wanted)
    found = read_triplet(tmp_path, NAME)
    assert sorted(path.name for path in (tmp_path / "lfw" / "ann").iterdir()) == [
        "0007.jpg",
        "0007_cam.txt",
        "0007_skin.jpg",
    ]
    assert np.abs(found.pictures.astype(int) - wanted.pictures).max() <= 3  # JPEG
    assert np.abs(found.skin.astype(int) - wanted.skin).max() <= 2
    assert np.allclose(found.landmarks, wanted.landmarks, atol=1e-6, rtol=0)
    assert np.allclose(found.intrinsics, wanted.intrinsics, atol=1e-6, rtol=0)
    assert (found.poses is None) == (poses is None) and (poses is None or np.allclose(found.poses, poses))


def test_writing_twice_gives_the_same_bytes(tmp_path):
    write_triplet(tmp_path / "a", NAME, triplet_of())
    write_triplet(tmp_path / "b", NAME, triplet_of())
    for path in (tmp_path / "a" / "lfw" / "ann").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / "lfw" / "ann" / path.name).read_bytes()


def test_views_have_their_places_in_the_picture_and_in_the_text(tmp_path):
    write_triplet(tmp_path, NAME, triplet_of())
    with Image.open(tmp_path / "lfw" / "ann" / "0007.jpg") as image:
        assert image.size == (672, 224)
        pixels = np.asarray(image).astype(int)
    for place in range(3):  # source 1 is red and left, the target green and in the middle
        assert pixels[:, 224 * place + 10 : 224 * place + 214].mean((0, 1)).argmax() == place
    lines = (tmp_path / "lfw" / "ann" / "0007_cam.txt").read_text().splitlines()
    assert len(lines) == 3 + 3 * 69
    assert [float(lines[row].split(",")[0]) for row in range(3)] == [9400, 4700, 14100]  # target, 1, 2
    assert [lines[row] for row in (3, 72, 141)] == ["68"] * 3
    assert [lines[row] for row in (4, 73, 142)] == [
        "34.000000,34.250000",  # the target is row 1 of our views: 136 / 4
        "0.000000,0.250000",
        "68.000000,68.250000",
    ]


def test_a_file_of_mgcnet_is_read(tmp_path):
    """Short numbers, headers of any kind, grey skin, as programs other than ours may write them."""
    (tmp_path / "s").mkdir()
    Image.new("RGB", (672, 224), (9, 9, 9)).save(tmp_path / "s" / "x.jpg")
    Image.new("L", (672, 224), 77).save(tmp_path / "s" / "x_skin.jpg")
    text = "4700.0,0,112,0,4700,112,0,0,1\n" * 3
    for view in (10, 20, 30):
        text += "a,b,c,d,e,f\n" + f"{view},{view + 0.5}\n" * 68
    (tmp_path / "s" / "x_cam.txt").write_text(text + "\n")
    found = read_triplet(tmp_path, TripletName(0, "s", "x"))
    assert found.landmarks[:, 0].tolist() == [[20, 20.5], [10, 10.5], [30, 30.5]] and found.poses is None
    assert (found.skin == 77).all() and (found.intrinsics == mgcnet_intrinsics()).all()


def test_lists_round_trip_and_keep_their_last_character(tmp_path):
    names = [TripletName(0, "a", "1"), TripletName(1, "a/b", "frame"), TripletName(2, ".", "x.y")]
    write_split(tmp_path / "train.txt", names)
    assert (tmp_path / "train.txt").read_text() == "0 a 1\n1 a/b frame\n2 . x.y\n"
    assert read_split(tmp_path / "train.txt") == names


@pytest.mark.parametrize(
    "line",
    [
        "0 ../up 1",
        "0 a/../../b 1",
        "0 /etc passwd",
        "0 a ../1",
        "0 a b/c",
        "0 a ..",
        "0 a\\..\\b 1",
        "3 a 1",
        "-1 a 1",
        "zero a 1",
        "0 a",
        "0 a 1 more",
        "0 a/ 1",
        "0 a \x001",
    ],
)
def test_lines_that_lead_outside_or_mean_nothing_are_refused(tmp_path, line):
    (tmp_path / "train.txt").write_text(f"1 good 1\n{line}\n")
    with pytest.raises(FormatError) as caught:
        read_split(tmp_path / "train.txt")
    assert f"{tmp_path / 'train.txt'}, line 2" in caught.value.subject


@given(st.text(max_size=12), st.text(max_size=12))
def test_no_name_leads_outside(tmp_path_factory, subfolder, frame):
    root = tmp_path_factory.getbasetemp() / "names"
    try:
        write_split(root.with_suffix(".txt"), [TripletName(0, subfolder, frame)])
    except FormatError:
        return
    place = root / subfolder / f"{frame}_cam.txt"
    assert root.resolve() in place.resolve().parents
    assert read_split(root.with_suffix(".txt")) == [TripletName(0, subfolder, frame)]


def test_a_missing_or_empty_list_is_an_error(tmp_path):
    with pytest.raises(FormatError, match="is missing"):
        read_split(tmp_path / "none.txt")
    (tmp_path / "empty.txt").write_text("\n \n")
    with pytest.raises(FormatError, match="lists no triplet"):
        read_split(tmp_path / "empty.txt")
    (tmp_path / "binary.txt").write_bytes(b"\xff\xfe0 a 1")
    with pytest.raises(FormatError, match="is not text"):
        read_split(tmp_path / "binary.txt")


def jpeg(size, mode="RGB"):
    content = io.BytesIO()
    Image.new(mode, size).save(content, "JPEG")
    return content.getvalue()


def png(size):
    content = io.BytesIO()
    Image.new("RGB", size).save(content, "PNG")
    return content.getvalue()


LONG = "1,2\n" * 300_000


@pytest.mark.parametrize(
    ("file", "change", "words"),
    [
        (".jpg", lambda old: None, "is missing"),
        (".jpg", lambda old: old[: len(old) // 2], "cannot be read"),
        (".jpg", lambda old: png((672, 224)), "cannot be read"),
        (".jpg", lambda old: b"cos\nsystem\n(S'true'\ntR.", "cannot be read"),
        (".jpg", lambda old: jpeg((224, 224)), "224 x 224 pixels"),
        ("_skin.jpg", lambda old: jpeg((672, 225)), "672 x 225 pixels"),
        ("_skin.jpg", lambda old: jpeg((20_000, 20_000), "L"), "decompression bomb"),
        ("_cam.txt", lambda old: None, "is missing"),
        ("_cam.txt", lambda old: b"", "is too short"),
        ("_cam.txt", lambda old: old.replace(b"4700.0", b"inf", 1), "line 2 is wrong"),
        ("_cam.txt", lambda old: b"\n".join(old.split(b"\n")[:-9]), "is too short"),
        ("_cam.txt", lambda old: old + b"1,2\n", "1 lines more, first: 1,2"),
        ("_cam.txt", lambda old: old.replace(b"0.500000,0.750000", b"0.5;0.75"), "line 75 is wrong"),
        ("_cam.txt", lambda old: old.replace(b"0.500000,0.750000", b"0.5,nan"), "line 75 is wrong"),
        ("_cam.txt", lambda old: old.replace(b"0.500000,0.750000", b"__import__('os'),1"), "line 75"),
        ("_cam.txt", lambda old: LONG.encode(), "is too large"),
        ("_cam.txt", lambda old: b"\xff" + old, "is not text"),
    ],
)
def test_damaged_files_are_named_with_what_was_expected(tmp_path, file, change, words):
    write_triplet(tmp_path, NAME, triplet_of())
    path = tmp_path / "lfw" / "ann" / f"0007{file}"
    content = change(path.read_bytes())
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(FormatError) as caught:
        read_triplet(tmp_path, NAME)
    assert str(path) in caught.value.subject and words in str(caught.value)
    assert caught.value.expected and caught.value.remedy


def test_arrays_of_another_shape_are_refused(tmp_path):
    whole = triplet_of()
    bad = [
        whole._replace(pictures=whole.pictures[:2]),
        whole._replace(landmarks=whole.landmarks[:, :67]),
        whole._replace(landmarks=np.full((3, 68, 2), np.nan)),
        whole._replace(poses=np.zeros((3, 5))),
    ]
    for triplet in bad:
        with pytest.raises(ValueError, match="must be finite numbers of shape"):
            write_triplet(tmp_path, NAME, triplet)
    with pytest.raises(FormatError):
        write_triplet(tmp_path, TripletName(0, "..", "x"), whole)
    assert not list(tmp_path.iterdir())


def test_the_template_is_placed_by_eye_centres_base_of_the_nose_and_mouth_corners():
    landmarks = np.zeros((68, 2))
    landmarks[36:42] = TEMPLATE[0] + np.array([[1, 0], [-1, 0], [0, 2], [0, -2], [3, 3], [-3, -3]])
    landmarks[42:48], landmarks[33], landmarks[48], landmarks[54] = TEMPLATE[1:]
    assert np.allclose(template_points(landmarks), TEMPLATE)
