"""The shipped head keeps its promises, and its compact file survives being written and read."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from facemill.geometry.uv import flipped_triangles, overlap_share
from facemill.models.head import expand, load_head, read_compact_head, write_compact_head
from facemill.models.head_builder.landmarks import MIRRORED, mirror_of
from facemill.models.head_builder.pictures import studio_camera
from facemill.models.morphable import LinearModel
from facemill.models.topology import REGION_NAMES
from facemill.rendering.rasterize import rasterize
from facemill.runtime.errors import FormatError
from facemill.runtime.files import load_arrays, save_arrays

MODELS = Path(__file__).resolve().parents[3] / "resources" / "models"
NEUTRAL: dict[str, float] = {}
SMILE = {"mouthSmileLeft": 0.6, "mouthSmileRight": 0.6}
BROWS = {"browInnerUp": 1.0, "cheekSquintLeft": 0.6}


@pytest.fixture(scope="module")
def head() -> LinearModel:
    return load_head(MODELS / "head.npz")


@pytest.fixture(scope="module")
def mirror(head) -> np.ndarray:
    return mirror_of(head.mean_shape.double().numpy())


def shape_of(head: LinearModel, blendshapes: dict[str, float]) -> torch.Tensor:
    return head.shape(torch.zeros(1, head.identity_count), head.expression_of(blendshapes))[0]


def test_size_of_the_file_and_of_the_model(head):
    assert (MODELS / "head.npz").stat().st_size < 8e6
    assert head.vertex_count < 45_000 and len(head.topology.triangles) < 90_000
    assert head.identity_count == 120 and len(head.blendshape_names) == 52
    assert 60 <= head.albedo_count <= 80


def test_regions_are_those_of_the_contract_and_symmetric(head, mirror):
    regions = {name: mask.numpy() for name, mask in head.topology.regions.items()}
    assert set(regions) == set(REGION_NAMES)
    for name, mask in regions.items():
        assert mask.any(), name
        assert (mask == mask[mirror]).mean() > 0.999, name
    inside = regions["skin"]
    assert not (inside & (regions["lips"] | regions["brows"] | regions["eyes"])).any()
    assert not (regions["face"] & (regions["ears"] | regions["neck"] | regions["eyeballs"])).any()


def test_landmarks_mirror_exactly_and_lie_where_anatomy_says(head, mirror):
    landmarks = head.topology.landmarks68.numpy()
    assert len(set(landmarks)) == 68
    assert (mirror[landmarks] == landmarks[list(MIRRORED)]).all()
    points = head.mean_shape.numpy()[landmarks]
    assert np.abs(points[[8, 27, 28, 29, 30, 33, 51, 57, 62, 66], 0]).max() < 1e-3  # on the midline
    assert points[36, 0] < points[39, 0] < 0 < points[42, 0] < points[45, 0]
    assert points[30, 2] == points[:, 2].max()  # the tip of the nose is foremost
    assert points[8, 1] == points[:, 1].min()  # the chin is lowest
    assert (np.diff(points[27:31, 1]) < 0).all() and (np.diff(points[8:17, 0]) > 0).all()
    assert points[37, 1] > points[41, 1] and points[51, 1] > points[62, 1] and points[66, 1] > points[57, 1]
    assert points[52, 1] >= points[51, 1] and 3 < points[52, 0] < 0.6 * points[54, 0]  # the Cupid's bow
    assert abs(points[62, 1] - points[66, 1]) < 0.5  # closed lips may press into each other a little
    regions = head.topology.regions
    assert regions["lips"][landmarks[60:68]].float().mean() > 0.5
    assert head.topology.now_landmarks.tolist() == landmarks[[36, 39, 42, 45, 33, 48, 54]].tolist()


def test_contour_lines_run_backwards_through_their_landmark(head, mirror):
    lines = head.topology.contour_candidates.numpy()
    points = head.mean_shape.numpy()
    for jaw, line in enumerate(lines):
        line = line[line >= 0]
        assert len(line) >= 20
        assert points[line[0], 2] > points[line[-1], 2] + 20
        gap = np.linalg.norm(points[line] - points[head.topology.landmarks68[jaw]], axis=1).min()
        assert gap < 3.0, jaw
        assert not head.topology.regions["ears"][line].any()
    assert (mirror[lines[3][lines[3] >= 0]] == lines[13][lines[13] >= 0]).all()


def test_the_atlas_is_one_to_one(head):
    uv, uv_triangles = head.topology.uv.numpy(), head.topology.uv_triangles.numpy()
    assert not flipped_triangles(uv, uv_triangles).any()
    assert overlap_share(uv, uv_triangles, 2048) == 0
    assert uv.min() >= 0 and uv.max() <= 1
    assert len(np.unique(uv_triangles)) == len(uv)
    assert len(np.unique(head.topology.triangles)) == head.vertex_count


@pytest.mark.parametrize("blendshapes", [NEUTRAL, SMILE, BROWS], ids=["neutral", "smile", "brows"])
@pytest.mark.parametrize("yaw", [0.0, 40.0])
def test_no_tooth_and_no_tongue_shows_through_closed_lips(head, blendshapes, yaw):
    size = (400, 400)
    camera = studio_camera(2600.0, size, yaw, lift=-30.0)
    vertices = camera.points_in_camera(shape_of(head, blendshapes))[None]
    fragments = rasterize(vertices, head.topology.triangles, camera.intrinsics, size)
    seen = fragments.triangle_ids[fragments.triangle_ids >= 0].unique()
    inside = head.topology.regions["mouth_interior"][head.topology.triangles].all(dim=1)
    pixels = inside[fragments.triangle_ids.clamp(min=0)] & (fragments.triangle_ids >= 0)
    assert seen.numel() > 5000
    assert pixels.sum() <= 25  # the dark slit between the lips, at most


def test_an_open_mouth_shows_its_inside_and_a_blink_hides_the_eyes(head):
    points = {name: shape_of(head, b) for name, b in (("rest", {}), ("open", {"jawOpen": 0.5}))}
    for upper, lower in ((61, 67), (62, 66), (63, 65)):
        first, second = head.topology.landmarks68[[upper, lower]]
        gap = {name: float(p[first, 1] - p[second, 1]) for name, p in points.items()}
        assert abs(gap["rest"]) < 1.0 and gap["open"] > 8.0  # signed: the lips are not mixed up
    lip, chin = head.topology.landmarks68[[57, 8]]
    for vertex in (lip, chin):
        assert points["rest"][vertex, 1] - points["open"][vertex, 1] > 4.0
    lids = head.topology.landmarks68[[37, 41]]
    shut = shape_of(head, {"eyeBlinkLeft": 1.0, "eyeBlinkRight": 1.0})
    assert (shut[lids[0]] - shut[lids[1]]).norm() < 0.4 * (
        points["rest"][lids[0]] - points["rest"][lids[1]]
    ).norm()


def test_the_shipped_people_measure_as_published():
    table = pd.read_csv(MODELS / "head_anthropometry.csv")
    fit = table[table["use"] == "fit"]
    off = (fit["model_mean"] - fit["published_mean"]).abs() / fit["published_sd"]
    assert off.max() < 1.2 and off.median() < 0.3
    assert fit["model_sd"].div(fit["published_sd"]).between(0.7, 1.5).all()


def test_a_compact_head_survives(tmp_path, head):
    compact = read_compact_head(MODELS / "head.npz")
    write_compact_head(tmp_path / "again.npz", compact)
    again = load_head(tmp_path / "again.npz")
    assert torch.equal(again.mean_shape, head.mean_shape)
    assert torch.equal(again.topology.uv_triangles, head.topology.uv_triangles)
    torch.testing.assert_close(again.albedo_basis, head.albedo_basis, atol=1e-5, rtol=0)
    torch.testing.assert_close(expand(compact).identity_basis, head.identity_basis)


def test_the_albedo_basis_is_stored_within_half_a_step(tmp_path):
    compact = read_compact_head(MODELS / "head.npz")
    noisy = compact.albedo_basis + np.random.default_rng(0).normal(0, 1e-3, compact.albedo_basis.shape)
    changed = type(compact)(**{**vars(compact), "albedo_basis": noisy})
    write_compact_head(tmp_path / "noisy.npz", changed)
    step = np.abs(noisy).max(axis=(1, 2)) / 127
    error = np.abs(read_compact_head(tmp_path / "noisy.npz").albedo_basis - noisy).max(axis=(1, 2))
    assert (error <= 0.51 * step).all() and (error > 0.3 * step).all()


def test_files_of_another_kind_are_refused(tmp_path):
    arrays = load_arrays(MODELS / "head.npz")
    save_arrays(tmp_path / "model.npz", {**arrays, "format": np.array("facemill-model-1")})
    with pytest.raises(FormatError, match="not a file of format facemill-head-1"):
        load_head(tmp_path / "model.npz")
    del arrays["refined"]
    save_arrays(tmp_path / "short.npz", arrays)
    with pytest.raises(FormatError, match="lacks refined"):
        load_head(tmp_path / "short.npz")


def test_a_damaged_head_is_to_be_restored_not_deleted(tmp_path, repository):
    """No rule of a run makes the shipped head anew."""
    content = (repository / "resources" / "models" / "head.npz").read_bytes()
    (tmp_path / "head.npz").write_bytes(content[: len(content) // 2])
    with pytest.raises(FormatError, match=r"head\.npz cannot be read") as caught:
        load_head(tmp_path / "head.npz")
    assert "restore resources/models/head.npz" in caught.value.remedy
