"""Our 68 landmarks as they are scored."""

from dataclasses import fields

import numpy as np
import pandas as pd
import pytest
import torch

from facemill.coarse.export_landmarks import export_landmarks
from facemill.coarse.export_now import ReconstructedShard
from facemill.evaluation.landmarks import evaluate_landmarks
from facemill.evaluation.settings import LandmarkTask
from facemill.faces.decode import FaceDecoder
from facemill.faces.landmark_offsets import landmark_offsets
from facemill.formats.landmarks import read_points_text, write_pts
from facemill.models.coefficients import neutral_coefficients
from facemill.models.head import load_head

PHOTO_FROM_CROP = [2.0, 0.0, 30.0, 0.0, 2.0, 10.0, 0.0, 0.0, 1.0]


@pytest.fixture(scope="module")
def head(repository):
    return load_head(repository / "resources" / "models" / "head.npz")


def test_points_are_projected_onto_the_photo_and_failed_photos_say_why(head, tmp_path):
    face = neutral_coefficients(head, 1)
    face = type(face)(**{f.name: getattr(face, f.name).clone() for f in fields(face)})
    face.rotation[0, 1] = 0.4
    arrays = {f.name: getattr(face, f.name).numpy() for f in fields(face)} | {"photo": np.array(["ann"])}
    rows = [
        ("ann", "ann.jpg", "ok", ""),
        ("ann_face2", "ann.jpg", "ok", ""),
        ("bob", "bob.jpg", "no_face", "dark"),
    ]
    table = pd.DataFrame(rows, columns=["photo", "file", "status", "reason"])
    table["photo_from_crop"] = [PHOTO_FROM_CROP] * 3
    written = export_landmarks([ReconstructedShard(table, arrays)], head, tmp_path / "out", "dlib68")
    assert written["case"].tolist() == ["ann", "bob"]
    points = read_points_text(tmp_path / "out" / "ann.txt")
    with torch.no_grad():
        offsets = landmark_offsets(head.topology, "dlib68")
        crop = FaceDecoder(head, landmark_offsets=offsets)(face).landmarks[0].double().numpy()
    np.testing.assert_allclose(points, 2 * crop + [30, 10], atol=1e-4)
    for name in ("ann", "bob"):
        write_pts(tmp_path / "truth" / f"{name}.pts", points + [3.0, 4.0])
    task = LandmarkTask(folder=str(tmp_path / "truth"), predictions=str(tmp_path / "out"))
    scored = evaluate_landmarks(task).table
    size = np.sqrt(np.prod(np.ptp(points, axis=0)))
    assert scored["nme"][0] == pytest.approx(500 / size, rel=1e-4)  # 5 pixels, in percent of the box
    assert scored["status"].tolist() == ["ok", "missing_prediction"]
    assert scored["reason"][1] == "no_face: dark"
