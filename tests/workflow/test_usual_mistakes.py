"""One head and every usual mistake with its captures, in one run: a result each, or a named refusal."""

import csv
import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from facemill.formats.base_meshes import read_base_mesh
from facemill.formats.facescape import CaptureView, write_capture_parameters
from facemill.models.head import load_head
from facemill.synthesis.captures import take_capture
from facemill.synthesis.identities import Population
from facemill.synthesis.rig import moved_rig
from facemill.synthesis.settings import CaptureTask
from workflow.running import ROOT, run_snakemake

HEAD = ROOT / "resources/models/head.npz"
PERSON = 440  # of the split `test`
WIDTH, HEIGHT = 288, 432
RIGS, EACH, MANY = 3, 20, 60
FEW = 6
MOVED_MM = 15.0
TABLE = "results/mistakes/multiview"


def photographs() -> tuple[list[bytes], list[CaptureView], np.ndarray]:
    """Photos of 60 cameras around one head that keeps still, their parameters, 68 true landmarks (world)."""
    population = Population(None, HEAD, 0)
    person, strengths = population.person(PERSON), np.zeros(52)
    task = CaptureTask(views=EACH, width=WIDTH, height=HEIGHT, level=0)
    photos, rig = [], []
    for number in range(RIGS):
        taken = take_capture(population, person, strengths, task, np.random.default_rng(number))
        photos += taken.photos
        rig += moved_rig(taken.rig, taken.rotation.T, -taken.rotation.T @ taken.shift)
        landmarks = (taken.landmarks - taken.shift) @ taken.rotation
    views = [
        CaptureView(number, None, one.camera, one.lens, one.size, True) for number, one in enumerate(rig)
    ]
    return photos, views, landmarks


class Maker:
    """Writes captures in FaceScape's layout below a folder."""

    def __init__(self, folder, photos, views) -> None:
        self.folder, self.photos, self.views = folder, photos, views

    def write(self, name: str, count: int = FEW, change=None):
        """The first views; `change` edits the table of parameters. The folder."""
        place = self.folder / name
        place.mkdir()
        views = [replace(view, file=place / f"{view.number}.jpg") for view in self.views[:count]]
        for view, photo in zip(views, self.photos, strict=False):
            view.file.write_bytes(photo)
        write_capture_parameters(place, views)
        if change is not None:
            table = json.loads((place / "params.json").read_text())
            change(table)
            (place / "params.json").write_text(json.dumps(table))
        return place


def edit_photo(path, edit) -> None:
    with Image.open(path) as image:
        pixels = np.asarray(image)
    Image.fromarray(np.ascontiguousarray(edit(pixels))).save(path, quality=95)


def halved(pixels):
    return np.asarray(Image.fromarray(pixels).resize((WIDTH // 2, HEIGHT // 2), Image.Resampling.BOX))


def turned_about(table) -> None:
    """Camera-to-world in place of world to camera."""
    for key in [key for key in table if key.endswith("_Rt")]:
        matrix = np.vstack([table[key], [0, 0, 0, 1]])
        table[key] = np.linalg.inv(matrix)[:3].tolist()


def smaller(table) -> None:
    """The size of the photos, halved, and K left as it was."""
    for number in range(FEW):
        table[f"{number}_width"], table[f"{number}_height"] = WIDTH // 2, HEIGHT // 2


def write_captures(maker: Maker) -> list[str]:
    """Every capture of this file; their names."""
    maker.write("good")
    maker.write("two", count=2)
    maker.write("sixty", count=MANY)
    maker.write("lacking", change=lambda table: table.pop("2_K"))
    faceless = maker.write("faceless")
    edit_photo(faceless / "3.jpg", lambda pixels: np.full_like(pixels, 40))
    extra = maker.write("extra", change=lambda table: table.update({"9_K": table["1_K"]}))
    (extra / "77.jpg").write_bytes((extra / "1.jpg").read_bytes())
    missing = maker.write("missing")
    (missing / "5.jpg").unlink()
    for name, change in (("resized", None), ("wrong_k", smaller)):
        for photo in maker.write(name, change=change).glob("*.jpg"):
            edit_photo(photo, halved)
    maker.write("flipped", change=turned_about)
    for photo in maker.write("mirrored").glob("*.jpg"):
        edit_photo(photo, lambda pixels: pixels[:, ::-1])
    moved = maker.write("moved")
    pixels_moved = round(MOVED_MM * WIDTH / 216)  # 216 mm are as wide as a photo
    edit_photo(moved / "4.jpg", lambda pixels: np.roll(pixels, pixels_moved, axis=0))
    return sorted(path.name for path in maker.folder.iterdir())


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mistakes")
    photos, views, landmarks = photographs()
    (folder / "in").mkdir()
    names = write_captures(Maker(folder / "in", photos, views))
    captures = {
        name: {"folder": str(folder / "in" / name), "unit_mm": 1.0, "surface": False} for name in names
    }
    configuration = {"run": "mistakes", "photos": {}, "captures": captures}
    run = run_snakemake(folder, configuration, f"{TABLE}/captures.csv", timeout=3600)
    assert run.code == 0, run.output
    with (folder / TABLE / "captures.csv").open(encoding="utf-8") as file:
        rows = {row["capture"]: row for row in csv.DictReader(file)}
    for row in rows.values():
        print({key: row[key] for key in ("capture", "status", "views", "left_out", "deviation_mm")})
    yield folder / TABLE, rows, landmarks
    shutil.rmtree(folder)


def landmark_error(place, name: str, landmarks: np.ndarray) -> float:
    """mm, median over the inner landmarks of the base mesh."""
    fit = place / f"fit_base_mesh/{name}.npz"
    mesh = read_base_mesh(fit, fit.with_suffix(".json"), name).mesh
    found = mesh.vertices[load_head(HEAD).topology.landmarks68.numpy()]
    return float(np.median(np.linalg.norm(found - landmarks, axis=1)[17:]))


@pytest.mark.slow
def test_refusals_are_named_and_the_others_go_on(finished):
    _, rows, _ = finished
    refused = {"flipped": "flipped_extrinsics", "mirrored": "mirrored", "wrong_k": "wrong_intrinsics"}
    found = {name: row["status"] for name, row in rows.items()}
    assert found == dict.fromkeys(rows, "ok") | refused
    assert all(rows[name]["reason"] for name in refused)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "view", "status"),
    [
        ("lacking", "2", "bad_parameters"),
        ("faceless", "3", "no_face"),
        ("missing", "5", "missing_photo"),
        ("extra", "9", "bad_parameters"),
        ("extra", "77", "no_parameters"),
        ("moved", "4", "moved"),
    ],
)
def test_a_bad_view_is_left_out_by_name(finished, name, view, status):
    place, rows, landmarks = finished
    assert f"{view}: {status}" in rows[name]["left_out"].split("; ")
    assert landmark_error(place, name, landmarks) < 3.0


@pytest.mark.slow
@pytest.mark.parametrize("name", ["good", "two", "sixty", "resized"])
def test_any_number_of_views_gives_a_mesh_in_place(finished, name):
    place, rows, landmarks = finished
    assert landmark_error(place, name, landmarks) < 3.0
    assert "moved" not in rows[name]["left_out"]


@pytest.mark.slow
def test_uncertainty_falls_with_the_views(finished):
    _, rows, _ = finished
    assert int(rows["sixty"]["views"]) == MANY and int(rows["sixty"]["views_used"]) >= MANY // 2
    two, good, sixty = (float(rows[name]["deviation_mm"]) for name in ("two", "good", "sixty"))
    assert sixty < 1.05 * good and good < two
