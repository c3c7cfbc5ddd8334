"""The rule triangulate_landmarks on captures that are right, and on captures with every usual mistake."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from facemill.formats.captures import Capture, dropped_view
from facemill.geometry.camera import Camera
from facemill.multiview.landmark_settings import TriangulateSettings
from facemill.multiview.landmark_views import Detectors, FacesOfView, ViewFace, faces_of_views
from facemill.multiview.triangulate import landmarks_of_faces, triangulate_landmarks, write_landmarks
from facemill.photos.landmarks import MIRRORED_68, Landmarks
from facemill.photos.reading import read_photo
from unit.multiview.rig_toys import SIZE, faces_of, make_rig, write_rig

INNER = slice(17, 68)


def run(rig, faces, settings=None, capture=None):
    capture = rig.capture if capture is None else capture
    used = [n for n, view in enumerate(capture.views) if view.status == "ok"]
    return landmarks_of_faces(capture, used, faces, MIRRORED_68, settings or TriangulateSettings())


def statuses(landmarks):
    return [view.status for view in landmarks.views]


def with_cameras(rig, change):
    views = tuple(replace(view, camera=change(view.camera)) for view in rig.views)
    return replace(rig, views=views)


def test_exact_detections_give_exact_landmarks():
    rig = make_rig(6)
    found = run(rig, faces_of(rig))
    assert found.status == "ok" and set(statuses(found)) == {"ok"}
    assert np.abs(found.points - rig.landmarks).max() < 1e-6
    assert found.inliers.all() and max(view.residual for view in found.views) < 1e-6


def test_noise_averages_out():
    rig = make_rig(10)
    found = run(rig, faces_of(rig, noise=1.0))
    error = np.linalg.norm(found.points - rig.landmarks, axis=1)[INNER]
    assert error.mean() < 0.7  # 1 px is 0.75 mm
    assert 0.5 < np.median([view.residual for view in found.views if view.residual]) < 2


def test_profiles_contribute_nothing():
    rig = make_rig(10)  # stations 6 and 7 look from 72 degrees to the sides
    faces = faces_of(rig)
    faces[6] = FacesOfView(rig.views[6], (replace(faces[6].faces[0], points=faces[6].faces[0].points + 3),))
    found = run(rig, faces)
    assert statuses(found)[6] == statuses(found)[7] == "profile"
    assert "turned by" in found.views[6].reason and found.views[6].turn > 62
    assert not found.inliers[:, 6].any()
    assert np.abs(found.points - rig.landmarks).max() < 1e-6


def test_a_view_without_a_face_is_named_and_the_others_go_on():
    rig = make_rig(5)
    faces = faces_of(rig)
    faces[1] = FacesOfView(rig.views[1], (), "no_face", "the detector finds no face in the view")
    found = run(rig, faces)
    assert found.status == "ok" and statuses(found) == ["ok", "no_face", "ok", "ok", "ok"]
    assert np.isnan(found.detections[1]).all() and np.isnan(found.scores[1])
    assert np.abs(found.points - rig.landmarks).max() < 1e-6


def test_no_face_at_all():
    rig = make_rig(3)
    found = run(rig, [FacesOfView(view, (), "no_face", "none") for view in rig.views])
    assert found.status == "no_face" and "0 of 3 views" in found.reason


def test_one_face_is_too_few():
    rig = make_rig(3)
    faces = faces_of(rig)[:1] + [FacesOfView(view, (), "no_face", "none") for view in rig.views[1:]]
    found = run(rig, faces)
    assert found.status == "too_few_views" and np.isnan(found.points).all()


def test_two_views_give_a_result_that_is_less_certain():
    rig = make_rig(10)
    faces = faces_of(rig)
    all_views = run(rig, faces)
    two = replace(rig, views=rig.views[:2])
    found = run(two, faces[:2])
    assert found.status == "ok"
    assert np.abs(found.points - rig.landmarks).max() < 1e-6
    larger = np.trace(found.covariance, axis1=1, axis2=2) / np.trace(all_views.covariance, axis1=1, axis2=2)
    assert larger[INNER].min() > 2


def test_motion_between_views_drops_the_view():
    rig = make_rig(6)
    faces = faces_of(rig)
    faces[3] = faces_of(rig, points=rig.landmarks + rig.rotation @ [0, 15.0, 0])[3]
    found = run(rig, faces)
    assert statuses(found) == ["ok", "ok", "ok", "moved", "ok", "ok"]
    assert found.views[3].reason
    assert np.abs(found.points - rig.landmarks).max() < 1e-6


def test_camera_to_world_extrinsics_are_recognised():
    rig = make_rig(6)
    faces = faces_of(rig, noise=1.0)
    wrong = with_cameras(rig, lambda c: Camera(c.rotation.T, c.centre, c.intrinsics))
    found = run(wrong, faces)
    assert found.status == "flipped_extrinsics"
    assert "camera-to-world" in found.reason and "R^T" in found.reason


def test_mirrored_pictures_are_recognised():
    rig = make_rig(6)
    mirrored = []
    for seen in faces_of(rig, noise=1.0):
        points = seen.faces[0].points[MIRRORED_68]
        points = np.stack([SIZE[1] - 1 - points[:, 0], points[:, 1]], axis=1)
        mirrored.append(FacesOfView(seen.view, (ViewFace(points, 0.98),)))
    found = run(rig, mirrored)
    assert found.status == "mirrored" and "mirrored" in found.reason


@pytest.mark.parametrize("factor", [0.5, 2.0])
def test_intrinsics_of_another_size_are_recognised(factor):
    rig = make_rig(6)
    faces = faces_of(rig, noise=1.0)
    scale = torch.diag(torch.tensor([factor, factor, 1.0], dtype=torch.float64))
    wrong = with_cameras(rig, lambda c: Camera(c.rotation, c.translation, scale @ c.intrinsics))
    found = run(wrong, faces)
    assert found.status == "wrong_intrinsics"
    told = float(found.reason.split("multiplied by ")[1].split(":")[0])
    assert told == pytest.approx(1 / factor, rel=0.03)


def test_cameras_of_other_pictures_are_inconsistent():
    rig = make_rig(6)
    order = [3, 0, 5, 1, 2, 4]
    views = tuple(replace(view, camera=rig.views[m].camera) for view, m in zip(rig.views, order, strict=True))
    shuffled = replace(rig, views=views)
    found = run(shuffled, faces_of(rig))
    assert found.status == "inconsistent" and "6 views do not meet" in found.reason


def second_person(rig, faces, shift, scale=1.0):
    middle = rig.landmarks.mean(axis=0)
    other = faces_of(rig, points=(rig.landmarks - middle) * scale + middle + rig.rotation @ shift)
    return [
        FacesOfView(a.view, tuple(sorted(a.faces + b.faces, key=lambda face: -face.extent)))
        for a, b in zip(faces, other, strict=True)
    ]


def test_a_smaller_person_beside_is_left_out():
    rig = make_rig(6)
    found = run(rig, second_person(rig, faces_of(rig), [260.0, 0, -100], scale=0.6))
    assert found.status == "ok" and "another person" in found.notes[0]
    assert np.abs(found.points - rig.landmarks).max() < 1e-6


def test_the_same_person_is_chosen_when_another_is_largest_in_some_views():
    rig = make_rig(6)
    faces = faces_of(rig)
    two = second_person(rig, faces, [0.0, 250, 300.0], scale=1.4)
    mixed = two[:2] + faces[2:]
    found = run(rig, mixed)
    assert found.status == "ok" and np.abs(found.points - rig.landmarks).max() < 1e-6


def test_two_people_alike_are_refused():
    rig = make_rig(6)
    found = run(rig, second_person(rig, faces_of(rig), [200.0, 0, 0]))
    assert found.status == "two_people" and "one person" in found.reason


def test_a_capture_that_was_refused_is_handed_on():
    refused = Capture(
        "no_cameras", "photos alone", None, "unknown", 0.0, (dropped_view("a", "invalid", "x"),)
    )
    found = triangulate_landmarks(refused, "capture.json", None, MIRRORED_68, TriangulateSettings())
    assert (found.status, found.reason) == ("no_cameras", "photos alone")
    assert found.points.shape == (68, 3) and found.inliers.shape == (68, 1)


def test_views_that_were_dropped_keep_their_place():
    rig = make_rig(4)
    views = (rig.views[0], dropped_view("gone", "invalid", "params.json says so"), *rig.views[1:])
    found = run(rig, faces_of(rig), capture=Capture("ok", "", 1.0, "given", 0.0, views))
    assert statuses(found) == ["ok", "invalid", "ok", "ok", "ok"]
    assert found.detections.shape == (5, 68, 2) and not found.inliers[:, 1].any()
    assert found.inliers[INNER, 2].all()


class StandInDetector:
    """Knows where landmarks are, and marks them with an offset of the crop's pixels."""

    def __init__(self, points, score=0.97):
        self.points, self.score = points, score

    def faces(self, photo, enlargement=1):
        number = next(n for n, picture in enumerate(self.pictures) if np.array_equal(picture, photo.pixels))
        self.current = self.points[number]
        low, high = self.current.min(axis=0), self.current.max(axis=0)

        class Face:
            box = np.concatenate([low, high])
            points = self.current[[30, 36, 45, 48, 54]]

        return [Face()]

    def detect(self, crop, points):
        shown = self.current[[30, 36, 45, 48, 54]]
        scale = np.ptp(points[:, 0]) / np.ptp(shown[:, 0])
        return Landmarks((self.current - shown[0]) * scale + points[0], self.score)


@pytest.mark.parametrize(
    ("side", "score", "status"), [(400, 0.97, "ok"), (100, 0.97, "ok"), (400, 0.5, "low_score")]
)
def test_detectors_look_at_a_bounded_crop(tmp_path, side, score, status):
    rig = make_rig(2)
    write_rig(tmp_path, rig)
    finder = StandInDetector(rig.cameras.project(rig.landmarks)[0], score)
    finder.pictures = [read_photo(tmp_path / view.file).pixels for view in rig.views]
    seen = faces_of_views(
        tmp_path / "capture.json", rig.views, Detectors(read_photo, finder, finder), side, 0.9
    )
    assert [view.status for view in seen] == [status] * 2
    if status == "ok":
        assert np.abs(seen[0].faces[0].points - finder.points[0]).max() < 0.25


def test_files_hold_what_was_found(tmp_path):
    rig = make_rig(3)
    found = run(rig, faces_of(rig))
    write_landmarks(found, tmp_path / "a.npz", tmp_path / "a.json")
    arrays = np.load(tmp_path / "a.npz")
    assert arrays["points"].shape == (68, 3) and arrays["covariance"].shape == (68, 3, 3)
    assert arrays["view"].tolist() == ["v0", "v1", "v2"] and arrays["inliers"].dtype == bool
    told = json.loads((tmp_path / "a.json").read_text())
    assert told["status"] == "ok" and told["found"] == 68
    assert {"name", "status", "reason", "residual_px", "turn_degrees"} == set(told["views"][0])
    again = tmp_path / "b.npz"
    write_landmarks(run(rig, faces_of(rig)), again, tmp_path / "b.json")
    assert again.read_bytes() == (tmp_path / "a.npz").read_bytes()
