"""Scans: what the scanner makes of a known surface, and the data set in NoW's layout."""

import hashlib
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from facemill.evaluation.scan_region import read_scan_region
from facemill.evaluation.settings import NowSettings
from facemill.formats.face_boxes import read_face_box
from facemill.formats.now import (
    CHALLENGES,
    face_box_file,
    is_synthetic,
    picture_file,
    read_cases,
    read_scan_landmarks,
    scan_landmarks_file,
)
from facemill.geometry.closest_point import closest_points
from facemill.geometry.mesh import boundary_edges
from facemill.geometry.similarity import fit_similarity
from facemill.synthesis import scans as scans_module
from facemill.synthesis.scanner import ScannerSettings, Target, scan
from facemill.synthesis.scans import list_scans, synthesize_scans
from facemill.synthesis.settings import ScanTask, SynthesizeScansSettings

COARSE = ScannerSettings(voxel=3.5, truncation=7.0)


@pytest.fixture(scope="module")
def egg():
    """An ellipsoid as large as a head, with a deep pit in its front, 3 mm between vertices."""
    height, turn = np.meshgrid(np.linspace(-np.pi / 2, np.pi / 2, 120), np.linspace(0, 2 * np.pi, 220)[:-1])
    x, y, z = np.cos(height) * np.sin(turn), np.sin(height), np.cos(height) * np.cos(turn)
    pit = np.exp(-((x - 0.1) ** 2 + (y + 0.1) ** 2) / 0.004) * (z > 0)
    vertices = np.stack([75 * x, 110 * y, 95 * z - 45 * pit], -1).reshape(-1, 3)
    index = np.arange(x.size).reshape(x.shape)
    after = np.roll(index, -1, axis=0)
    a, b, c, d = (part.ravel() for part in (index[:, :-1], after[:, :-1], after[:, 1:], index[:, 1:]))
    triangles = np.concatenate([np.stack([a, b, c], 1), np.stack([a, c, d], 1)])
    nothing = np.zeros(len(vertices))
    return Target(vertices, triangles, nothing, nothing)


def test_scanned_surface_is_near_the_true_one_and_another_mesh(egg):
    mesh = scan(egg, COARSE, np.random.default_rng(0))
    off = closest_points(mesh.vertices, egg.vertices, egg.triangles)
    away = np.linalg.norm(mesh.vertices[:, :2] - [7.5, -11], axis=1) > 25
    assert np.median(off.distances[away]) < 0.15 and np.percentile(off.distances[away], 99) < 0.6
    nearest = np.linalg.norm(egg.vertices[None] - mesh.vertices[::50, None], axis=2).min(axis=1)
    assert np.median(nearest) > 0.3  # no vertex is taken over
    edges = mesh.vertices[mesh.triangles[:, 0]] - mesh.vertices[mesh.triangles[:, 1]]
    assert 1.7 < np.median(np.linalg.norm(edges, axis=1)) < 5.2
    a, b, c = mesh.vertices[mesh.triangles].transpose(1, 0, 2)
    assert ((np.cross(b - a, c - a) * a).sum(axis=1) > 0).mean() > 0.97  # faces outwards


def test_noise_and_warp_are_what_the_settings_say(egg):
    def deviation(**changes):
        mesh = scan(egg, replace(COARSE, **changes), np.random.default_rng(1))
        off = closest_points(mesh.vertices, egg.vertices, egg.triangles).distances
        return np.sqrt(np.mean(off[np.linalg.norm(mesh.vertices[:, :2] - [7.5, -11], axis=1) > 25] ** 2))

    clean = deviation(noise=0.0, warp=0.0)
    assert clean < 0.1
    assert deviation(noise=0.5, warp=0.0) > clean + 0.1
    assert deviation(noise=0.0, warp=0.5) > clean + 0.1


def test_the_bottom_of_a_pit_and_what_is_gone_is_missing(egg):
    mesh = scan(egg, COARSE, np.random.default_rng(0))
    inside = (np.linalg.norm(mesh.vertices[:, :2] - [7.5, -11], axis=1) < 3) & (mesh.vertices[:, 2] > 0)
    assert not (inside & (mesh.vertices[:, 2] < 62)).any()  # the pit is at z = 49
    hole = (np.linalg.norm(egg.vertices - [-40, 30, 75], axis=1) < 18).astype(float)
    torn = scan(replace(egg, gone=hole), COARSE, np.random.default_rng(0))
    distance = np.linalg.norm(torn.vertices - [-40, 30, 75], axis=1)
    assert distance.min() > 12 and len(torn.vertices) < len(mesh.vertices)
    assert len(boundary_edges(torn.triangles)) > len(boundary_edges(mesh.triangles)) > 0


def test_equal_seeds_give_equal_scans(egg):
    first, second = (scan(egg, COARSE, np.random.default_rng(7)) for _ in range(2))
    assert np.array_equal(first.vertices, second.vertices)
    assert np.array_equal(first.triangles, second.triangles)


def places(root, person):
    return {
        "scans": root / "scans" / person.name,
        "landmarks": root / "scans_lmks_onlypp" / person.name,
        "pictures": root / "iphone_pictures" / person.name,
        "boxes": root / "detected_face" / person.name,
        "truth": root / "truth" / f"{person.name}.csv",
    }


TASK = ScanTask(identities=1, photos_per_identity=4, size=240)


@pytest.fixture(scope="module")
def dataset(population, tmp_path_factory):
    """The data set of one person."""
    root = tmp_path_factory.mktemp("now")
    person = population.person(10)
    where = places(root, person)
    synthesize_scans(population, person, TASK, SynthesizeScansSettings(), **where)
    list_scans([where["truth"]], root, TASK, seed=3)
    return root, person


def test_the_readers_of_the_protocol_accept_it(dataset):
    root, person = dataset
    assert is_synthetic(root)
    cases = read_cases(root)
    assert [case.challenge for case in cases] == list(CHALLENGES)
    for case in cases:
        with Image.open(picture_file(root, case)) as picture:
            width, height = picture.size
        assert max(width, height) == 240
        box = read_face_box(face_box_file(root, case))
        assert (box >= -0.5).all() and box[2] <= width and box[3] <= height and box[2] - box[0] > 30
    region = read_scan_region(root, person.name, NowSettings(visible_only=True))
    assert 15_000 < len(region.points) < 80_000
    assert 60_000 < len(region.vertices) < 120_000
    assert len(boundary_edges(region.triangles)) > 100


def test_the_scan_is_the_person_in_another_frame(dataset, population):
    root, person = dataset
    true = population.shape(person, {}, level=1).astype(float)
    points = read_scan_landmarks(scan_landmarks_file(root, person.name))
    known = true[population.topology.now_landmarks.numpy()]
    assert np.linalg.norm(points - known, axis=1).min() > 20
    head_from_scan = fit_similarity(points, known, with_scale=False)
    assert np.linalg.norm(head_from_scan.apply(points) - known, axis=1).max() < 2.0
    region = read_scan_region(root, person.name, NowSettings(visible_only=True))
    # Refined by the nearest points, because picked points are only good to a third of a millimetre.
    moved = head_from_scan.apply(region.points[::7])
    triangles = population.finer(1).triangles
    for _ in range(6):
        near = closest_points(moved, true, triangles)
        moved = fit_similarity(moved, near.points, with_scale=False).apply(moved)
    off = closest_points(moved, true, triangles).distances
    assert 0.01 < np.median(off) < 0.12 and np.percentile(off, 90) < 0.4


def test_truth_says_what_each_picture_shows(dataset):
    root, _ = dataset
    truth = pd.read_csv(root / "truth.csv", keep_default_na=False).set_index("challenge")
    assert truth.loc["multiview_neutral", "expression"] == "neutral"
    assert truth.loc["multiview_expressions", "expression"] != "neutral"
    assert truth.loc["multiview_occlusions", "occluders"] != ""
    assert truth.loc["multiview_neutral", "occluders"] == ""
    assert truth.loc["selfie", "distance"] < 500 < truth.loc["multiview_neutral", "distance"]
    assert truth["yaw"].abs().max() <= 80


def test_a_person_that_fails_leaves_nothing(population, tmp_path, monkeypatch):
    def fail(*arguments):
        raise OSError("disk full")

    monkeypatch.setattr(scans_module, "write_face_box", fail)
    person = population.person(20)
    with pytest.raises(OSError, match="disk full"):
        synthesize_scans(
            population, person, TASK, SynthesizeScansSettings(voxel=3.0), **places(tmp_path, person)
        )
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


@pytest.mark.slow
def test_two_runs_are_equal_byte_by_byte(dataset, population, tmp_path):
    root, person = dataset
    synthesize_scans(population, person, TASK, SynthesizeScansSettings(), **places(tmp_path, person))
    for again in sorted(path for path in tmp_path.rglob("*") if path.is_file()):
        first = root / again.relative_to(tmp_path)
        assert hashlib.sha256(first.read_bytes()).digest() == hashlib.sha256(again.read_bytes()).digest()
