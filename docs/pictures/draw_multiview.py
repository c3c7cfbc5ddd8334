"""Draws multiview.png: views of synthetic sittings, and sources warped to their targets by the labels.

python docs/pictures/draw_multiview.py results/multiview/coarse/val/pack_training/0000
"""

import sys
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from facemill.coarse.consistency.stage import FaceViews
from facemill.coarse.networks.coarse_network import prediction_of, spec_for
from facemill.coarse.training.batches import PackedShards, TrainingBatch, View, batch_from, collate
from facemill.coarse.training.objective import TrainingObjective
from facemill.coarse.training_settings import ConsistencyWeights, HybridWeights, TrainSettings
from facemill.faces.crop_camera import cameras_of_heads
from facemill.models.head import load_head

ROOT = Path(__file__).resolve().parents[2]
CHOSEN = (0, 3, 8, 13)
TARGET, SOURCES = torch.tensor([1, 1]), torch.tensor([0, 2])


def labels_as_numbers(batch: TrainingBatch, albedo: int) -> Tensor:
    """What a network would have to say to predict the labels."""
    nothing = torch.zeros(len(batch), albedo), torch.zeros(len(batch), 27)
    pose = batch.rotation, nothing[1], batch.translation / 100
    return torch.cat((batch.identity, batch.strengths, nothing[0], *pose), dim=1)


def main(shard: str) -> None:
    """Draw a row for each chosen tuple."""
    model = load_head(ROOT / "resources" / "models" / "head.npz")
    spec = spec_for(model, reduction=2)
    settings = TrainSettings(
        hybrid=HybridWeights(perceptual=0), consistency=ConsistencyWeights(share=1.0), batch=3
    )
    objective = TrainingObjective(model, spec, settings, None, None)
    images = PackedShards([shard])
    rows = []
    for chosen in images.tuples()[0][list(CHOSEN)]:
        batch = batch_from(collate([images[View(int(number))] for number in chosen]), torch.device("cpu"))
        with torch.no_grad():
            numbers = labels_as_numbers(batch, spec.albedo)
            scene = objective.decode(prediction_of(numbers, spec), batch.crops.shape[1])
            views = FaceViews(
                scene.decoded.vertices,
                cameras_of_heads(objective.stage.decoder.camera, scene.coefficients),
                scene.fragments,
                batch.crops,
                batch.attention,
                batch.landmarks,
            )
            seen = objective.consistency.compared_views(views, TARGET, SOURCES)
        share = seen.attention[..., None]
        warped = seen.photo * share + (1 - share)
        difference = (3 * (seen.photo - batch.crops[TARGET]).abs() * share).clamp(0, 1)
        rows.append(torch.cat((*batch.crops, *warped, *difference), dim=1))
    picture = Image.fromarray(np.rint(255 * torch.cat(rows).clamp(0, 1).numpy()).astype(np.uint8))
    picture.resize((picture.width * 3 // 2, picture.height * 3 // 2)).save(
        ROOT / "docs" / "pictures" / "multiview.png"
    )


if __name__ == "__main__":
    main(sys.argv[1])
