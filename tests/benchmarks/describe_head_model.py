"""Figures of the shipped head: sizes, load time, anthropometry, atlas, and what dlib says about its renders.

    python tests/benchmarks/describe_head_model.py [--pictures docs/pictures]

dlib's landmarks are a cross-check only: the model's landmarks were placed by anatomy, not by dlib.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import dlib
import numpy as np
import pandas as pd
import torch

from facemill.geometry.camera import project
from facemill.geometry.uv import flipped_triangles, overlap_share, stretch
from facemill.models.head import load_head
from facemill.models.head_builder.pictures import (
    draw_pictures,
    photograph,
    random_head,
    studio_camera,
    studio_light,
)
from facemill.models.morphable import MorphableModel
from facemill.photos.dlib_models import PREDICTOR_68, find_model
from facemill.runtime.seeds import generator_of

MODELS = Path(__file__).resolve().parents[2] / "resources" / "models"
GROUPS = {
    "jaw": range(17),
    "brows": range(17, 27),
    "nose": range(27, 36),
    "eyes": range(36, 48),
    "mouth": range(48, 68),
}
HEADS, SIZE, YAWS = 24, (320, 320), (0.0, 30.0, -30.0)


def print_sizes(path: Path) -> MorphableModel:
    start = time.perf_counter()
    model = load_head(path)
    seconds = time.perf_counter() - start
    topology = model.topology
    print(f"{path.name}: {path.stat().st_size / 1e6:.2f} MB, loads in {seconds:.2f} s")
    print(
        f"V {model.vertex_count}  F {len(topology.triangles)}  K {model.identity_count}  "
        f"E {model.expression_count}  A {model.albedo_count}"
    )
    print("regions", {name: int(mask.sum()) for name, mask in topology.regions.items()})
    return model


def print_spread(model: MorphableModel) -> None:
    face = model.topology.regions["face"]
    for name in ("identity_basis", "expression_basis", "albedo_basis"):
        variance = (getattr(model, name)[:, face] ** 2).sum(dim=(1, 2))
        share = torch.cumsum(variance, 0) / variance.sum()
        counts = [int((share < part).sum()) + 1 for part in (0.90, 0.95, 0.99)]
        deviation = float((variance.sum() / face.sum()).sqrt())
        print(f"{name} on the face: 90/95/99 % in {counts}, deviation per vertex {deviation:.3f}")


def print_atlas(model: MorphableModel) -> None:
    topology = model.topology
    uv, uv_triangles = topology.uv.numpy(), topology.uv_triangles.numpy()
    values = stretch(model.mean_shape.numpy(), topology.triangles.numpy(), uv, uv_triangles)
    face = topology.regions["face"][topology.triangles].all(dim=1).numpy()
    worst = 1024 / values.largest[face]
    mean = 1024 / np.sqrt(values.largest * values.smallest)[face]
    print(
        f"atlas: {int(flipped_triangles(uv, uv_triangles).sum())} flips, "
        f"overlap {overlap_share(uv, uv_triangles):.5f}, face at 1024: {np.median(mean):.2f} px/mm "
        f"(poorest direction {np.median(worst):.2f}, its 5th percentile {np.percentile(worst, 5):.2f})"
    )


def print_detection(model: MorphableModel) -> None:
    detector = dlib.get_frontal_face_detector()
    predictor = dlib.shape_predictor(str(find_model(PREDICTOR_68)))
    landmarks = model.topology.landmarks68
    for yaw in YAWS:
        random = generator_of(1, "bench")
        camera = studio_camera(850.0, SIZE, yaw)
        found, errors = 0, []
        for _ in range(HEADS):
            vertices, colours = random_head(model, random)
            picture = photograph(
                vertices, model.topology.triangles, colours, camera, SIZE, studio_light(random)
            )
            bytes_ = (picture * 255).round().astype(np.uint8)
            boxes = detector(bytes_, 0)
            if not boxes:
                continue
            found += 1
            shape = predictor(bytes_, max(boxes, key=lambda box: box.area()))
            seen = np.array([(point.x, point.y) for point in shape.parts()])
            true = project(vertices[landmarks], camera).pixels.numpy()
            # The distance of the head seen from the front, so that yaw does not shrink the unit.
            unit = project(vertices[landmarks[[36, 45]]], studio_camera(850.0, SIZE)).pixels.numpy()
            errors.append(np.linalg.norm(seen - true, axis=1) / np.linalg.norm(unit[0] - unit[1]))
        by_group = {
            name: float(np.mean([e[list(ids)] for e in errors]) * 100) for name, ids in GROUPS.items()
        }
        total = float(np.mean(errors) * 100)
        print(
            f"yaw {yaw:+.0f}: dlib HOG finds {found}/{HEADS}; dlib-68 NME {total:.2f} % of the "
            "outer-eye distance, " + ", ".join(f"{name} {value:.2f}" for name, value in by_group.items())
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pictures", type=Path, help="folder for head_*.png")
    options = parser.parse_args()
    torch.set_num_threads(1)
    model = print_sizes(MODELS / "head.npz")
    print_spread(model)
    print_atlas(model)
    print(pd.read_csv(MODELS / "head_anthropometry.csv").to_string(index=False))
    print_detection(model)
    if options.pictures:
        draw_pictures(model, options.pictures)


if __name__ == "__main__":
    main()
