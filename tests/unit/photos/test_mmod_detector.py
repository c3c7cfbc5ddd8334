"""dlib's network as the detector: the same face as the frontal detector's, and no face on a cat."""

import shutil

import pytest

from facemill.photos.detection import detect_faces
from facemill.photos.index import index_photos
from facemill.photos.plan import plan_photo_set
from facemill.photos.settings import DetectSettings, IndexSettings


@pytest.mark.slow
def test_the_network_agrees_with_the_frontal_detector(repository, tmp_path):
    photos = tmp_path / "photos"
    photos.mkdir()
    for name in ("astronaut.png", "cat.jpg"):
        shutil.copy(repository / "resources" / "photos" / name, photos)
    plan = plan_photo_set("mine", photos, tmp_path / "plan", 256)
    index = index_photos(plan.manifest("0000"), photos, IndexSettings())
    network = detect_faces(index, photos, DetectSettings(detector="mmod", retries=0))
    frontal = detect_faces(index, photos, DetectSettings())
    assert list(network["status"]) == ["ok", "no_face"]
    assert network["points5"][0] == pytest.approx(frontal["points5"][0], abs=4.0)  # pixels of 512; other box
