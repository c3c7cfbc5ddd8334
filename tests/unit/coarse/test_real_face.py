"""The hybrid loss on a real portrait: each term falls when it alone is optimised, and all together."""

import pytest
import torch

from facemill.coarse.networks.coarse_network import spec_for
from facemill.coarse.networks.identity_network import load_identity
from facemill.coarse.training.batches import PackedShards, TrainingBatch, batch_from, collate
from facemill.coarse.training.objective import TrainingObjective
from facemill.coarse.training.packing import pack_training, save_packed
from facemill.coarse.training_settings import HybridWeights, PackSettings, TrainSettings
from facemill.photos.alignment import align_faces
from facemill.photos.detection import detect_faces
from facemill.photos.index import index_photos
from facemill.photos.landmarks import detect_landmarks
from facemill.photos.plan import plan_photo_set
from facemill.photos.settings import (
    AlignSettings,
    DetectSettings,
    IndexSettings,
    LandmarkSettings,
    SkinSettings,
)
from facemill.photos.skin import segment_skin

STEPS, RATE = 20, 0.03
FALLS_TO = {  # of its first value: a photo has an optimum above 0, a prior has not
    "photometric": 0.8, "landmark": 0.3, "perceptual": 0.8, "identity": 0.3, "expression": 0.3, "albedo": 0.3,
    "reflectance": 0.3, "lighting": 0.3,
}  # fmt: skip


@pytest.fixture(scope="module")
def portrait(repository, head_model, tmp_path_factory) -> TrainingBatch:
    """The astronaut as photo chain and `pack_training` hand her to a training, at a quarter of the size."""
    place = tmp_path_factory.mktemp("portrait")
    photos = place / "photos"
    photos.mkdir()
    (photos / "astronaut.png").symlink_to(repository / "resources" / "photos" / "astronaut.png")
    for name in ("crops", "masks", "packed"):
        (place / name).mkdir()
    plan = plan_photo_set("portrait", photos, place / "plan", 1)
    table = index_photos(plan.manifest("0000"), photos, IndexSettings())
    table = detect_faces(table, photos, DetectSettings())
    table = align_faces(table, photos, place / "crops", AlignSettings())
    table = detect_landmarks(table, place / "crops", LandmarkSettings())
    table = segment_skin(table, place / "crops", place / "masks", SkinSettings())
    _, arrays = pack_training(table, place / "crops", place / "masks", head_model, PackSettings(reduction=4))
    save_packed(place / "packed", arrays)
    return batch_from(collate([PackedShards([str(place / "packed")])[0]]), torch.device("cpu"))


@pytest.fixture(scope="module")
def identity(repository):
    return load_identity(repository / "resources" / "weights" / "identity.safetensors")


def descend(objective: TrainingObjective, batch: TrainingBatch) -> list[dict[str, float]]:
    """The terms at each step of a descent on the network's numbers, from drawn ones."""
    draw = torch.Generator().manual_seed(1)
    numbers = (0.3 * torch.randn(1, objective.spec.outputs, generator=draw)).requires_grad_()
    optimiser = torch.optim.Adam([numbers], lr=RATE)
    values = []
    for _ in range(STEPS):
        loss = objective(numbers, batch)
        optimiser.zero_grad()
        loss.loss.backward()
        optimiser.step()
        values.append({name: float(value) for name, value in loss.terms.items()})
    return values


@pytest.mark.parametrize("name", FALLS_TO)
def test_each_term_falls_when_it_alone_is_optimised(head_model, portrait, identity, name):
    weights = {term: getattr(HybridWeights(), term) * (term == name) for term in FALLS_TO}
    settings = TrainSettings(hybrid=HybridWeights(**weights))
    objective = TrainingObjective(head_model, spec_for(head_model), settings, None, identity)
    values = descend(objective, portrait)
    assert set(values[0]) == {name}
    assert 0 < values[-1][name] < FALLS_TO[name] * values[0][name]


def test_all_published_terms_together_overfit_the_portrait(head_model, portrait, identity):
    objective = TrainingObjective(head_model, spec_for(head_model), TrainSettings(), None, identity)
    values = descend(objective, portrait)
    assert set(values[0]) == set(FALLS_TO) and not portrait.labelled.any()
    first, last = values[0], values[-1]
    assert last["photometric"] < 0.5 * first["photometric"] and last["landmark"] < 0.1 * first["landmark"]
    assert last["perceptual"] < first["perceptual"]


def test_no_term_is_forgotten():
    assert set(FALLS_TO) == set(HybridWeights.model_fields) - {"landmark_emphasis"}
