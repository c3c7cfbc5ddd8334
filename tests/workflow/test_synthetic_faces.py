"""Sets of synthetic photographs by name: where the faces of a shard are, and what cannot be reconstructed."""

import sys
from types import SimpleNamespace

import pytest

from workflow.running import ROOT

sys.path.insert(0, str(ROOT / "workflow"))

from planning import Plan

from facemill.configuration import check_configuration
from facemill.synthesis.photo_shards import people_of
from facemill.synthesis.settings import PhotoTask

PEOPLE = {"identities": 5, "photos_per_identity": 2, "shard_size": 2, "split": "test", "pictures": "png"}
MADE = "results/x/synthesis/photos"


def plan_of(sets, **more) -> Plan:
    values = {"run": "x", "photos": {}, "synthesis": {"photos": sets}, **more}
    return Plan(ROOT, check_configuration(values), may_list=False)


def shard(name="made", number="0001"):
    return SimpleNamespace(set=name, shard=number)


def test_a_synthetic_set_has_its_faces_in_its_own_folder():
    plan = plan_of({"made": PEOPLE, "large": {**PEOPLE, "size": 448}})
    place = f"{MADE}/made/synthesize_photos/0001"
    assert plan.face_files(shard()) == {"table": f"{place}.parquet", "crops": place, "masks": place}
    assert plan.crops_folder(shard()) == plan.photo_folder(shard()) == place
    assert plan.masks_folder(shard()) == f"{place}/masks"
    assert plan.crops_folder(shard("large")) == f"{MADE}/large/synthesize_photos/0001/crops"
    assert plan.photo_folder(shard("large")) == f"{MADE}/large/synthesize_photos/0001"
    assert plan.shards("made") == ["0000", "0001", "0002"]


def test_a_photo_set_of_the_same_name_comes_first():
    plan = plan_of({"made": PEOPLE}, photos={"made": {"folder": "resources/photos"}})
    assert plan.crops_folder(shard()) == "results/x/photos/made/align_faces/0001"
    assert plan.masks_folder(shard()) == "results/x/photos/made/segment_skin/0001"
    assert plan.face_files(shard())["table"] == "results/x/photos/made/segment_skin/0001.parquet"


def test_a_photo_is_found_in_the_shard_that_makes_it():
    plan = plan_of({"made": {**PEOPLE, "first": 3}})
    task = PhotoTask(**PEOPLE, first=3)
    for number in ("0000", "0001", "0002"):
        for person in people_of(task, number):
            photo = f"person_{person:06d}_01"
            assert plan.shard_of("made", photo) == number
            wanted = SimpleNamespace(set="made", photo=photo)
            assert plan.crops_folder(wanted) == f"{MADE}/made/synthesize_photos/{number}"
    with pytest.raises(SystemExit, match="has no photo person_000001_00; it has person_0000"):
        plan.shard_of("made", "person_000001_00")


@pytest.mark.parametrize("change", [{"pictures": "jpg"}, {"framing": "portrait"}])
def test_what_has_no_crops_cannot_be_reconstructed_by_name(change):
    plan = plan_of({"made": {**PEOPLE, **change}})
    with pytest.raises(SystemExit, match=r"synthesis\.photos\.made cannot be reconstructed"):
        plan.face_files(shard())


def test_detail_is_measured_where_the_truth_is_known():
    known = {**PEOPLE, "displacement": True, "surfaces": True}
    task = {"detail": {"folds": {"dataset": "synthesis.photos.made"}}}
    plan = plan_of({"made": known}, evaluation=task)
    files = plan.measured_faces("folds", "detail/{set}/reconstruct_detail/{shard}.npz")
    assert files == [f"results/x/detail/made/reconstruct_detail/{n}.npz" for n in ("0000", "0001", "0002")]
    for sets in ({"made": {**known, "surfaces": False}}, {"other": known}):
        with pytest.raises(SystemExit, match="displacement: true and surfaces: true"):
            plan_of(sets, evaluation=task).measured_faces("folds", "{set}{shard}")
