"""Files that users would bring to the runs of which rules are killed."""

from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image, ImageOps

from facemill.formats.landmarks import write_points_text, write_pts
from facemill.formats.meshes import write_obj
from facemill.formats.mgcnet import Triplet, TripletName, mgcnet_intrinsics, write_split, write_triplet
from facemill.geometry.mesh import Mesh
from stand_ins.bfm09 import write_bfm09
from stand_ins.facescape import write_facescape_model
from stand_ins.ict_facekit import write_ict_facekit
from unit.evaluation.analytic_face import face_grid, face_landmarks
from unit.multiview.captured_ball import camera_at, photograph
from workflow.running import ROOT

PORTRAIT = ROOT / "resources" / "photos" / "astronaut.png"
AWAY = 700.0  # mm between a camera and the middle of a measured face
FOCAL, SIDE = 500.0, 256  # px


def write_friends(folder: Path) -> None:
    """friends/ann: three photos that make a tuple."""
    place = folder / "friends" / "ann"
    place.mkdir(parents=True)
    portrait = Image.open(PORTRAIT).convert("RGB")
    for number, photo in enumerate((portrait, ImageOps.mirror(portrait), portrait.rotate(12))):
        photo.save(place / f"{number}.png")


def write_ball(folder: Path) -> None:
    """ball: photos without cameras, of which COLMAP finds the cameras; there is no face in them."""
    (folder / "ball").mkdir()
    for number, azimuth in enumerate((-24, -12, 0, 12, 24)):
        photo = photograph(camera_at(azimuth, 6.0 * (number % 3 - 1)))
        Image.fromarray(photo).save(folder / "ball" / f"{number}.png")


def write_models(folder: Path) -> None:
    """bfm09, ict_facekit, facescape: stand-ins for licensed models."""
    write_bfm09(folder / "bfm09")
    write_ict_facekit(folder / "ict_facekit", identities=2)
    write_facescape_model(folder / "facescape")


def write_measured_files(folder: Path) -> None:
    """faces: meshes and tables; wild: a photo with landmarks; lfw: one of MGCNet's triplets."""
    _write_meshes(folder / "faces")
    (folder / "wild").mkdir()
    Image.open(PORTRAIT).save(folder / "wild" / "ann.png")
    write_pts(folder / "wild" / "ann.pts", np.random.default_rng(0).uniform(180, 270, (68, 2)))
    name = TripletName(2, "lfw", "0001")
    crop = np.asarray(Image.open(PORTRAIT).convert("RGB").crop((110, 10, 334, 234)))
    pictures = np.stack([crop] * 3)
    landmarks = np.random.default_rng(1).uniform(60, 160, (3, 68, 2))
    intrinsics = np.stack([mgcnet_intrinsics()] * 3)
    write_triplet(folder / "lfw", name, Triplet(pictures, pictures[..., 0], intrinsics, landmarks))
    write_split(folder / "lfw" / "train.txt", [name])


def _write_meshes(place: Path) -> None:
    """true.obj and found.obj, 0.4 mm apart, before a camera; cases.csv and pictures.csv name them."""
    place.mkdir()
    mesh, points = face_grid(121, 151), face_landmarks()
    chosen = points[[0, 3, 4, 5, 6]]  # image-left and -right eye, nose, mouth corners
    for name, shift in (("true", 0.0), ("found", 0.4)):
        vertices, marks = (_before_camera(part + [0, 0, shift]) for part in (mesh.vertices, chosen))
        write_obj(place / f"{name}.obj", Mesh(vertices, mesh.triangles))
        write_points_text(place / f"{name}.txt", marks)
    row = {
        "case": "ann", "prediction": "found.obj", "truth": "true.obj",
        "prediction_points": "found.txt", "truth_points": "true.txt",
    }  # fmt: skip
    pd.DataFrame([row]).to_csv(place / "cases.csv", index=False)
    camera = dict.fromkeys(("fx", "fy"), FOCAL) | dict.fromkeys(("cx", "cy"), SIDE / 2)
    camera |= {"width": SIDE, "height": SIDE, "yaw": 0}
    pd.DataFrame([row | camera]).to_csv(place / "pictures.csv", index=False)


def _before_camera(points: np.ndarray) -> np.ndarray:
    """From the head's frame (y up, z out of the face) to a camera's (y down, z forward)."""
    return points * [1, -1, -1] + [0, 0, AWAY]
