"""A set of people, from folders of photos to a folder of results per person."""

from pathlib import Path

import pandas as pd
import pytest
from PIL import Image, ImageOps

from facemill.formats.meshes import read_glb
from workflow.running import QUICK_FIT, ROOT, Run, run_snakemake

PHOTOS = ROOT / "resources" / "photos"


@pytest.fixture(scope="module")
def exported(tmp_path_factory) -> tuple[Run, Path]:
    """The run, and the folder of the set: ann with three photos, bob with one of two, cat with none."""
    folder = tmp_path_factory.mktemp("people")
    for name in ("ann", "bob", "cat"):
        (folder / "in" / name).mkdir(parents=True)
    astronaut = Image.open(PHOTOS / "astronaut.png").convert("RGB")
    for number, photo in enumerate((astronaut, ImageOps.mirror(astronaut), astronaut.rotate(12))):
        photo.save(folder / "in" / "ann" / f"{number}.png")
    Image.open(PHOTOS / "hopper.jpg").convert("RGB").save(folder / "in" / "bob" / "face.png")
    Image.new("RGB", (300, 300), (90, 120, 90)).save(folder / "in" / "bob" / "lawn.png")
    (folder / "in" / "cat" / "cat.jpg").write_bytes((PHOTOS / "cat.jpg").read_bytes())
    configuration = {
        "run": "people",
        "photos": {},
        "people": {"friends": {"folder": "in"}},
        "reconstruct_coarse": QUICK_FIT,
        "reconstruct_person": {"levels": [{"reduction": 4, "steps": 3}]},
        "export_person": {"texture_size": 128, "overlay_side": 128, "tile_side": 64},
    }
    place = "results/people/people/friends"
    run = run_snakemake(
        folder, configuration, f"{place}/bob/person.png", f"{place}/export_person/0000.parquet"
    )
    assert run.code == 0, run.output
    return run, folder / place


def test_each_person_has_a_folder_or_a_reason(exported):
    run, place = exported
    assert run.jobs["export_named_person"] == run.jobs["export_person"] == run.jobs["reconstruct_person"] == 1
    table = pd.read_parquet(place / "export_person" / "0000.parquet").set_index("person")
    assert table["status"].to_dict() == {"ann": "ok", "bob": "ok", "cat": "no_usable_photo"}
    assert "cat_cat (no_face)" in table["reason"]["cat"]
    assert not (place / "cat").exists()
    for person in ("ann", "bob"):
        _, texture = read_glb(place / person / "mesh.glb")
        assert texture.shape[:2] == (128, 128)
        assert (place / person / "person.png").exists()


def test_the_table_of_people_says_how_consistent_their_photos_are(exported):
    _, place = exported
    people = pd.read_csv(place / "reconstruct_person" / "0000_people.csv").set_index("person")
    assert people["used"].to_dict() == {"ann": 3, "bob": 1, "cat": 0}
    assert people["photos"].to_dict() == {"ann": 3, "bob": 2, "cat": 1}
    assert 0 < people["spread"]["ann"] < 5  # mm
    listed = pd.read_csv(place / "bob" / "photos.csv").set_index("photo")
    assert listed["used"].to_dict() == {"bob_face": True, "bob_lawn": False}
    assert listed["left_out"]["bob_lawn"] == "no_face"
