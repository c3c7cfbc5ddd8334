"""Our predictions in the layout of the NoW benchmark."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
import torch

from facemill.coarse.export_now import ReconstructedShard, export_now
from facemill.coarse.export_settings import ExportNowSettings
from facemill.evaluation.now import evaluate_now
from facemill.evaluation.settings import NowSettings, NowTask
from facemill.formats.meshes import read_mesh
from facemill.formats.now import NowCase, read_cases
from facemill.formats.now_predictions import (
    prediction_files,
    read_prediction_landmarks,
    read_prediction_reasons,
)
from facemill.geometry.mesh import Mesh
from facemill.models.head import load_head
from facemill.runtime.errors import FormatError
from unit.evaluation.analytic_face import write_list, write_subject

CASES = [
    NowCase(subject, "selfie", image, f"{subject}/selfie/{image}.jpg")
    for subject, image in (("anna", "a1"), ("anna", "a2"), ("bert", "b1"), ("carl", "c1"))
]


@pytest.fixture(scope="module")
def head(repository):
    """The embedded head: its landmarks are those of a face."""
    return load_head(repository / "resources" / "models" / "head.npz")


@pytest.fixture
def shards(head):
    """anna's two pictures, a further face of the second, and bert's, where no face was found."""
    random = np.random.default_rng(2)
    arrays = {
        "photo": np.array(["anna_selfie_a2", "anna_selfie_a1", "anna_selfie_a2_face2"]),
        "identity": random.normal(0, 1, (3, head.identity_count)).astype(np.float32),
        "expression": random.uniform(0, 0.5, (3, head.expression_count)).astype(np.float32),
    }
    rows = [
        ("anna_selfie_a1", "NoW_Dataset/final_release_version/iphone_pictures/anna/selfie/a1.jpg", "ok", ""),
        ("anna_selfie_a2", "iphone_pictures/anna/selfie/a2.jpg", "ok", ""),
        ("anna_selfie_a2_face2", "iphone_pictures/anna/selfie/a2.jpg", "ok", ""),
        ("other", "iphone_pictures/dora/selfie/d1.jpg", "ok", ""),
        ("bert_selfie_b1", "iphone_pictures/bert/selfie/b1.jpg", "no_face", "the detector finds no face"),
    ]
    table = pd.DataFrame(rows, columns=["photo", "file", "status", "reason"])
    return [ReconstructedShard(table.assign(landmark_error=0.02, photometric_error=0.1), arrays)]


def test_each_face_is_written_at_the_place_of_its_picture(head, shards, tmp_path):
    table = export_now("coarse", CASES, shards, head, tmp_path / "out", "neutral", ExportNowSettings())
    assert table["case"].tolist() == [case.name for case in CASES]
    assert table["status"].tolist() == ["ok", "ok", "no_face", "not_reconstructed"]
    arrays = shards[0].arrays
    for case, row in ((CASES[0], 1), (CASES[1], 0)):
        files = prediction_files(tmp_path / "out", case)
        mesh = read_mesh(files.mesh)
        nothing = torch.zeros(1, head.expression_count)
        expected = head.shape(torch.from_numpy(arrays["identity"][row : row + 1]), nothing)[0].numpy()
        assert mesh.colors is None and len(mesh.triangles) == len(head.topology.triangles)
        np.testing.assert_allclose(mesh.vertices, expected, rtol=0, atol=1e-4)
        points = read_prediction_landmarks(files.landmarks)
        np.testing.assert_allclose(points, expected[head.topology.now_landmarks.numpy()], atol=1e-4)
    assert prediction_files(tmp_path / "out", CASES[2]) == (None, None)
    reasons = read_prediction_reasons(tmp_path / "out")
    assert reasons["bert/selfie/b1"] == "no_face: the detector finds no face"
    assert set(reasons) == {"bert/selfie/b1", "carl/selfie/c1"}


def test_the_expression_is_kept_when_asked_for_and_files_can_be_of_other_kinds(head, shards, tmp_path):
    settings = ExportNowSettings(mesh="ply", landmarks="txt")
    export_now("coarse", CASES[:1], shards, head, tmp_path / "out", "predicted", settings)
    files = prediction_files(tmp_path / "out", CASES[0])
    assert (files.mesh.suffix, files.landmarks.suffix) == (".ply", ".txt")
    arrays = {name: torch.from_numpy(shards[0].arrays[name][1:2]) for name in ("identity", "expression")}
    expected = head.shape(**arrays)[0].numpy()
    np.testing.assert_allclose(read_mesh(files.mesh).vertices, expected, rtol=0, atol=1e-4)
    np.testing.assert_allclose(
        read_prediction_landmarks(files.landmarks), expected[head.topology.now_landmarks.numpy()], atol=1e-4
    )


def test_cases_can_have_the_identity_of_their_person(head, shards, tmp_path):
    """anna has a joint identity; dora, of another shard, too; of bert there is no photo, of carl nothing."""
    settings = ExportNowSettings(mesh="ply")
    named = [shards[0]._replace(table=shards[0].table.assign(person=["anna"] * 3 + ["dora", "bert"]))]
    random = np.random.default_rng(4)
    people = [
        {
            "person": np.array([person]),
            "identity": random.normal(0, 1, (1, head.identity_count)).astype(np.float32),
            "start_best": random.normal(0, 1, (1, head.identity_count)).astype(np.float32),
        }
        for person in ("dora", "anna")
    ]
    for identity, name in (("person", "identity"), ("start_best", "start_best")):
        folder = tmp_path / identity
        table = export_now("coarse", CASES, named, head, folder, "neutral", settings, identity, people)
        assert table["status"].tolist() == ["ok", "ok", "no_face", "not_reconstructed"]
        chosen = torch.from_numpy(people[1][name])
        expected = head.shape(chosen, torch.zeros(1, head.expression_count))[0].numpy()
        for case in CASES[:2]:
            mesh = read_mesh(prediction_files(folder, case).mesh)
            np.testing.assert_allclose(mesh.vertices, expected, rtol=0, atol=1e-4)
    alone = export_now(
        "coarse", CASES, named, head, tmp_path / "x", "neutral", settings, "person", people[:1]
    )
    assert alone["status"].tolist() == [
        "not_reconstructed",
        "not_reconstructed",
        "no_face",
        "not_reconstructed",
    ]
    assert alone["reason"][0] == "reconstruct_person has no anna"
    with pytest.raises(FormatError, match="lack start_network"):
        export_now("coarse", CASES, named, head, tmp_path / "y", "neutral", settings, "start_network", people)


def test_photos_of_one_subject_can_share_their_mean_identity(head, shards, tmp_path):
    settings = ExportNowSettings(mesh="ply")
    export_now("coarse", CASES, shards, head, tmp_path / "out", "neutral", settings, identity="subject")
    # The further face of the second picture is nobody's.
    mean = torch.from_numpy(shards[0].arrays["identity"][:2].mean(axis=0, keepdims=True))
    expected = head.shape(mean, torch.zeros(1, head.expression_count))[0].numpy()
    for case in CASES[:2]:
        mesh = read_mesh(prediction_files(tmp_path / "out", case).mesh)
        np.testing.assert_allclose(mesh.vertices, expected, rtol=0, atol=1e-4)


def test_the_mean_face_for_every_case_on_disk_once(head, tmp_path):
    table = export_now("mean_face", CASES, [], head, tmp_path / "out", "neutral", ExportNowSettings())
    assert set(table["status"]) == {"ok"}
    files = [prediction_files(tmp_path / "out", case) for case in CASES]
    assert len({file.mesh.stat().st_ino for file in files}) == 1
    np.testing.assert_allclose(read_mesh(files[-1].mesh).vertices, head.mean_shape.numpy(), atol=1e-4)


def test_what_is_exported_can_be_scored_and_a_failed_photo_is_missing_with_its_reason(head, shards, tmp_path):
    dataset = tmp_path / "data"
    write_list(dataset, [case.name for case in CASES])
    arrays = shards[0].arrays
    face = head.topology.regions["face"].numpy()
    triangles = head.topology.triangles.numpy()
    triangles = triangles[face[triangles].all(axis=1)]
    for subject, row in (("anna", 1), ("bert", 0), ("carl", 0)):
        identity = torch.from_numpy(arrays["identity"][row : row + 1])
        shape = head.shape(identity, torch.zeros(1, head.expression_count))[0].double().numpy()
        write_subject(dataset, subject, Mesh(shape, triangles), shape[head.topology.now_landmarks.numpy()])
    settings = ExportNowSettings(mesh="ply")
    export_now("coarse", read_cases(dataset), shards, head, tmp_path / "out", "neutral", settings)
    result = evaluate_now(NowTask(dataset=str(dataset), predictions=str(tmp_path / "out")), NowSettings())
    first, second, third, _ = result.scores
    assert first.status == "ok" and np.median(first.distances) < 1e-3
    assert second.status == "ok" and np.median(second.distances) > 0.1
    assert (third.status, third.reason) == ("missing_prediction", "no_face: the detector finds no face")
    summary = result.summary()
    assert (summary["scored"], summary["missing"], summary["failed"]) == (2, 2, 0)


def test_a_model_without_a_landmark_is_refused_before_anything_is_written(head, tmp_path):
    lacking = head.topology.now_landmarks.clone()
    lacking[4] = -1
    model = dataclasses.replace(head, topology=dataclasses.replace(head.topology, now_landmarks=lacking))
    with pytest.raises(ValueError, match="7 landmarks of NoW"):
        export_now("mean_face", CASES, [], model, tmp_path / "out", "neutral", ExportNowSettings())
    assert not (tmp_path / "out").exists()
