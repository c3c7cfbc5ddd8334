"""What the writer of the NoW layout writes, the reader finds."""

import json

import numpy as np
import pandas as pd
import pytest

from facemill.formats.meshes import read_obj
from facemill.formats.now import (
    face_box_file,
    is_synthetic,
    picture_file,
    read_cases,
    read_scan_landmarks,
    scan_file,
    scan_landmarks_file,
)
from facemill.formats.now_writer import (
    now_case,
    write_face_box,
    write_picture,
    write_roots,
    write_scan,
    write_scan_landmarks,
)
from facemill.geometry.mesh import Mesh

POINTS = np.arange(21.0).reshape(7, 3)
TRUTH = pd.DataFrame(
    {
        "subject": ["person_000010", "person_000010"],
        "challenge": ["selfie", "multiview_neutral"],
        "image": ["IMG_0002", "IMG_0001"],
        "yaw": [12.3456789, -7.0],
    }
)


def test_the_reader_finds_everything(tmp_path):
    scan = Mesh(np.eye(3), np.array([[0, 1, 2]]))
    write_scan(tmp_path / "scans" / "person_000010", "person_000010", scan)
    write_scan_landmarks(tmp_path / "scans_lmks_onlypp" / "person_000010", "person_000010", POINTS)
    cases = [now_case("person_000010", "selfie", 1), now_case("person_000010", "multiview_neutral", 0)]
    write_picture(tmp_path / "iphone_pictures" / "person_000010", cases[0], b"one")
    write_face_box(tmp_path / "detected_face" / "person_000010", cases[0], [10, 20.5, 110, 140])
    write_roots(tmp_path, "test", TRUTH, {"generator": "facemill", "seed": 3})

    assert read_cases(tmp_path) == cases
    assert is_synthetic(tmp_path)
    assert json.loads((tmp_path / "synthetic.json").read_text())["seed"] == 3
    assert np.array_equal(read_obj(scan_file(tmp_path, "person_000010")).vertices, np.eye(3))
    assert np.array_equal(read_scan_landmarks(scan_landmarks_file(tmp_path, "person_000010")), POINTS)
    assert picture_file(tmp_path, cases[0]).read_bytes() == b"one"
    box = face_box_file(tmp_path, cases[0])
    assert box is not None and np.load(box, allow_pickle=False).tolist() == [10, 20.5, 110, 140]
    assert face_box_file(tmp_path, cases[1]) is None
    assert pd.read_csv(tmp_path / "truth.csv")["yaw"].tolist() == [12.3457, -7.0]


@pytest.mark.parametrize(
    ("truth", "words"),
    [
        (TRUTH.drop(columns="image"), "image"),
        (TRUTH.assign(challenge="holiday"), "holiday"),
        (pd.concat([TRUTH, TRUTH]), "person_000010/selfie/IMG_0002 twice"),
    ],
)
def test_a_list_that_cannot_be_is_refused(tmp_path, truth, words):
    with pytest.raises(ValueError, match=words):
        write_roots(tmp_path, "test", truth, {})
    assert not list(tmp_path.iterdir())


def test_wrong_values_are_refused(tmp_path):
    with pytest.raises(ValueError, match="challenge"):
        now_case("a", "holiday", 0)
    with pytest.raises(ValueError, match="seven"):
        write_scan_landmarks(tmp_path, "a", POINTS[:6])
    with pytest.raises(ValueError, match="seven"):
        write_scan_landmarks(tmp_path, "a", np.full((7, 3), np.nan))
    for box in ([1, 2, 3], [5, 0, 4, 9], [0, 5, 4, 5], [0, 0, np.inf, 9]):
        with pytest.raises(ValueError, match="box"):
            write_face_box(tmp_path, now_case("a", "selfie", 0), box)
