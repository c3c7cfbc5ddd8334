"""Surfaces of stages against one scan: known distances and angles, holes, what counts, files."""

import json

import numpy as np
import pytest
from PIL import Image

from facemill.evaluation.surface_output import evaluate_surface
from facemill.evaluation.surface_settings import SurfaceEvaluationSettings
from facemill.evaluation.surface_stages import (
    StageSurface,
    VisibleFace,
    distance_figures,
    measure_stages,
)
from facemill.geometry.mesh import Mesh
from facemill.runtime.errors import FormatError

SETTINGS = SurfaceEvaluationSettings()
HALF = 20.0  # mm, of the side of the planes


def sheet(z, step: float = 1.0, half: float = HALF) -> Mesh:
    """A square over |x|, |y| <= half that looks along +z; z: a number or a function of x and y."""
    line = np.arange(-half, half + step / 2, step)
    x, y = np.meshgrid(line, line)
    corner = np.arange(x.size).reshape(x.shape)
    a, b, c, d = corner[:-1, :-1], corner[:-1, 1:], corner[1:, 1:], corner[1:, :-1]
    triangles = np.concatenate([np.stack(t, -1).reshape(-1, 3) for t in ([a, b, c], [a, c, d])])
    height = z(x, y) if callable(z) else np.full_like(x, z)
    return Mesh(np.stack([x, y, height], axis=-1).reshape(-1, 3), triangles)


def cap(radius: float, step: float = 1.0) -> Mesh:
    """The top of a sphere around (0, 0, -80)."""
    return sheet(lambda x, y: np.sqrt(radius**2 - x**2 - y**2) - 80.0, step)


def face_of(base: Mesh, reach: float = HALF - 3, regions=None) -> VisibleFace:
    inside = np.abs(base.vertices[:, :2]).max(axis=1) <= reach
    return VisibleFace(base, inside, regions or {})


def figures(scan, face, *stages):
    return measure_stages(scan, face, stages, SETTINGS).summary(SETTINGS)


def test_planes_are_as_far_as_they_are():
    base = sheet(0.0)
    found = figures(sheet(0.3, 0.7), face_of(base), StageSurface("fine", sheet(0.25, 0.5)))
    for stage, distance in (("base", 0.3), ("fine", 0.05)):
        told = found["stages"][stage]
        for direction in ("completeness", "completeness_of_all", "accuracy", "common"):
            for name in ("mean", "median", "p90", "p95", "max"):
                assert told[direction][name] == pytest.approx(distance, abs=1e-9)
        assert told["coverage"] == 1.0 and told["normal_error"]["mean"] < 1e-6
    assert found["stages"]["fine"]["accuracy"]["within"] == {"0.1": 1, "0.2": 1, "0.5": 1, "1": 1}
    assert found["stages"]["base"]["completeness"]["within"] == {"0.1": 0, "0.2": 0, "0.5": 1, "1": 1}
    # the counted square is 34 mm wide and ends in the middle between vertices: 35 mm, give or take a vertex
    assert found["scan_area"] == pytest.approx(35.0**2, rel=0.05)


def test_a_tilted_plane_has_the_angle_it_is_tilted_by():
    slope = np.tan(np.deg2rad(3.0))
    tilted = sheet(lambda x, y: slope * x)
    told = figures(sheet(0.0, 0.7), face_of(sheet(0.0)), StageSurface("tilted", tilted))["stages"]["tilted"]
    assert told["normal_error"] == pytest.approx({"mean": 3.0, "median": 3.0, "p90": 3.0})
    # |x| sin 3 degrees, x even over -17.5 .. 17.5: the median is at 8.75
    assert told["completeness"]["median"] == pytest.approx(8.75 * np.sin(np.deg2rad(3.0)), rel=0.04)


def test_concentric_spheres_are_as_far_as_their_radii():
    base = cap(79.0)
    stage = StageSurface("fine", cap(79.8, 0.5))
    told = figures(cap(80.0, 0.5), face_of(base), stage)["stages"]
    assert told["base"]["completeness"]["median"] == pytest.approx(1.0, abs=0.01)
    assert told["fine"]["completeness"]["p90"] == pytest.approx(0.2, abs=0.005)
    assert told["fine"]["accuracy"]["p90"] == pytest.approx(0.2, abs=0.005)
    assert told["fine"]["normal_error"]["p90"] < 0.2


def test_holes_are_misses_and_all_stages_have_the_same_points():
    base = sheet(0.0)
    face = face_of(base)
    known = base.vertices[:, 0] <= 0
    moved = base.vertices + np.where(known, 0.2, np.nan)[:, None] * [0, 0, 1]
    half = Mesh(np.nan_to_num(moved), base.triangles[known[base.triangles].all(axis=1)])
    holed, whole = StageSurface("half", half, "", known), StageSurface("whole", sheet(0.25))
    comparison = measure_stages(sheet(0.3, 0.5), face, [holed, whole], SETTINGS)
    found = comparison.summary(SETTINGS)
    told = found["stages"]["half"]
    assert told["coverage"] == pytest.approx(0.5, abs=0.02) == found["common"]
    assert told["completeness"]["max"] == pytest.approx(0.1)
    every = told["completeness_of_all"]
    assert every["within"]["0.2"] == pytest.approx(told["coverage"])
    assert every["p90"] is every["mean"] is every["max"] is None
    assert found["stages"]["whole"]["coverage"] == 1.0
    assert found["stages"]["whole"]["common"]["vertices"] == told["completeness"]["vertices"]
    assert len({len(stage.completeness) for stage in comparison.stages}) == 1
    assert all(np.isfinite(value) for value in told["normal_error"].values())


def test_only_what_views_see_counts():
    base = sheet(0.0)
    step = sheet(lambda x, y: np.where(x > 2, 5.0, 0.1))
    left = VisibleFace(base, (base.vertices[:, 0] <= -2) & (np.abs(base.vertices) <= 17).all(axis=1), {})
    told = figures(step, left, StageSurface("one", sheet(0.1)))
    assert told["stages"]["one"]["completeness"]["max"] < 1e-9
    assert told["stages"]["base"]["accuracy"]["max"] == pytest.approx(0.1)


def test_regions_are_measured_apart():
    base = sheet(0.0)
    right = base.vertices[:, 0] > 0
    scan = sheet(lambda x, y: np.where(x > 0.5, 0.4, 0.1), 0.5)
    face = face_of(base, regions={"right": right, "left": ~right, "nowhere": np.zeros(len(right), bool)})
    regions = figures(scan, face)["stages"]["base"]["regions"]
    assert set(regions) == {"right", "left"}
    assert regions["right"]["completeness"]["median"] == pytest.approx(0.4)
    assert regions["left"]["completeness"]["median"] == pytest.approx(0.1)
    assert regions["left"]["accuracy"]["median"] == pytest.approx(0.1)


def test_what_is_behind_the_skin_or_looks_away_is_not_the_face():
    # a box without a bottom, and a plate inside
    skin = sheet(lambda x, y: np.where(np.maximum(np.abs(x), np.abs(y)) > 18.6, -15.0, 0.3), 0.5)
    base, inner = sheet(0.0), sheet(-8.0, 0.5, 8.0)
    count = len(skin.vertices)
    for triangles in (inner.triangles, inner.triangles[:, ::-1]):
        scan = Mesh(
            np.concatenate([skin.vertices, inner.vertices]),
            np.concatenate([skin.triangles, triangles + count]),
        )
        comparison = measure_stages(scan, face_of(base), [], SETTINGS)
        assert comparison.points.ids.max() < count
        assert comparison.stages[0].completeness.max() == pytest.approx(0.3)


def test_a_scan_turned_inside_out_is_turned_first():
    base, scan = cap(79.8), cap(80.0, 0.5)
    turned = Mesh(scan.vertices, scan.triangles[:, ::-1])
    assert figures(turned, face_of(base)) == figures(scan, face_of(base))


def test_a_scan_that_ends_is_not_asked_beyond_its_border():
    base = sheet(0.0)
    told = figures(sheet(0.2, 0.5, 10.0), face_of(base))["stages"]["base"]
    assert told["accuracy"]["max"] == pytest.approx(0.2)
    assert told["completeness"]["max"] == pytest.approx(0.2)


def test_stages_without_a_surface_are_named():
    base = sheet(0.0)
    empty = Mesh(base.vertices, np.empty((0, 3), dtype=np.int64))
    found = figures(
        sheet(0.3), face_of(base), StageSurface("a", None, "no weights"), StageSurface("b", empty)
    )
    assert found["missing"] == {"a": "no weights", "b": "it knows no part of the surface"}
    assert set(found["stages"]) == {"base"}


def test_surfaces_apart_or_without_triangles_are_refused():
    base = sheet(0.0)
    with pytest.raises(FormatError, match="base mesh and scan lie apart"):
        figures(sheet(100.0), face_of(base))
    with pytest.raises(FormatError, match="the scan has no surface"):
        figures(Mesh(base.vertices, np.empty((0, 3), dtype=np.int64)), face_of(base))
    with pytest.raises(ValueError, match="known"):
        figures(sheet(0.1), face_of(base), StageSurface("a", base, "", np.ones(3, dtype=bool)))


def test_figures_are_weighted_by_area():
    values, areas = np.array([0.05, 0.3, np.inf]), np.array([3.0, 6.0, 1.0])
    told = distance_figures(values, areas, (0.1, 0.5))
    assert (told["median"], told["p90"], told["p95"], told["mean"]) == (0.3, 0.3, None, None)
    assert told["within"] == pytest.approx({"0.1": 0.3, "0.5": 0.9})
    assert distance_figures(np.empty(0), np.empty(0), (0.1,)) is None


class Stages:
    """What the multi-view stages give, as plain data."""

    def __init__(self, base, stages, status="ok", reason=""):
        count = 0 if base is None else len(base.vertices)
        self.base, self.stages, self.status, self.reason = base, stages, status, reason
        self.seen, self.regions = np.full(count, 3), {"all": np.ones(count, dtype=bool)}


def evaluate(folder, surfaces, scan, problem=("", ""), benchmarks=None):
    files = folder / "result.json", folder / "heat_maps.png"
    evaluate_surface("<me>", surfaces, scan, problem, SETTINGS, benchmarks or {}, *files)
    return json.loads(files[0].read_text()), Image.open(files[1]).convert("RGB")


def test_files_of_a_capture_with_a_missing_stage(tmp_path):
    stages = {
        "classical": StageSurface("classical", sheet(0.1)),
        "implicit": StageSurface("implicit", None, "it was not made"),
    }
    (tmp_path / "match.tsv").write_text("s\th:m:s\tmax_rss\tcpu_time\n12.5\t0:00:12\t801.5\t-\n")
    benchmarks = {"match_surface": tmp_path / "match.tsv", "other": tmp_path / "none.tsv"}
    result, picture = evaluate(tmp_path, Stages(sheet(0.0), stages), sheet(0.4), benchmarks=benchmarks)
    assert (result["protocol"], result["status"]) == ("surface_stages", "ok")
    assert result["missing"] == {"implicit": "it was not made"}
    assert result["stages"]["classical"]["regions"]["all"]["completeness"]["median"] == pytest.approx(0.3)
    cost = {"seconds": 12.5, "processor_seconds": None, "memory": 801.5}
    assert result["costs"] == {"match_surface": cost}
    pixels = np.asarray(picture).astype(int)
    third = pixels.shape[1] // 3
    colored = (pixels.max(axis=2) - pixels.min(axis=2) > 60)[: 2 * third]
    shares = [colored[:, k * third : (k + 1) * third].mean() for k in range(3)]
    assert shares[0] > 0.3 and shares[1] > 0.3 and shares[2] == 0


@pytest.mark.parametrize("without", ["base", "scan"])
def test_a_capture_that_cannot_be_measured_says_why(tmp_path, without):
    surfaces = Stages(None if without == "base" else sheet(0.0), {})
    scan = None if without == "scan" else sheet(0.0)
    result, picture = evaluate(tmp_path, surfaces, scan, ("no_face", "no view shows one"))
    expected = {"protocol": "surface_stages", "status": "no_face", "reason": "no view shows one", "costs": {}}
    assert result == expected and picture.size[0] > 100


def test_a_scan_elsewhere_is_a_result_not_an_end(tmp_path):
    result, _ = evaluate(tmp_path, Stages(sheet(0.0), {}), sheet(500.0))
    assert result["status"] == "bad_scan" and "base mesh and scan lie apart" in result["reason"]
