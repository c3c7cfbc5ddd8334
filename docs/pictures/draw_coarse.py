"""Draw coarse_<photo>.png for the demo's photographs, and print their errors.

Above: crop with detected (blue) and projected (red) landmarks, render on the crop, geometry, geometry turned
by 40 degrees. Below: the same geometry without expression, from three sides, and its albedo in neutral light.

PYTHONPATH=src python docs/pictures/draw_coarse.py
"""

import math
import sys
import tempfile
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw

from facemill.coarse.reconstruct import reconstruct_coarse
from facemill.coarse.settings import CoarseSettings
from facemill.faces.crops import read_crop
from facemill.faces.decode import FaceDecoder
from facemill.faces.landmark_offsets import landmark_offsets
from facemill.geometry.camera import DEEP3D_SIZE, Camera, deep3d_crop_camera
from facemill.models.coefficients import Coefficients
from facemill.models.head import load_head
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
from facemill.rendering.lighting import shade
from facemill.rendering.rasterize import interpolate, rasterize
from facemill.runtime.tables import OK

RESOURCES = Path(__file__).resolve().parents[2] / "resources"
SIDE = 336
SETTINGS = CoarseSettings(network="resources/weights/coarse.safetensors")


def studio_light() -> torch.Tensor:
    """White light from the front, above and the right."""
    bands = torch.zeros(9)
    bands[:4] = torch.tensor([-0.25, -0.12, 0.18, -0.12])
    return bands.repeat(3)[None]


def _camera(size: int) -> Camera:
    return deep3d_crop_camera(size, distance=SETTINGS.camera_distance)


def render(decoder: FaceDecoder, face: Coefficients, background: torch.Tensor, grey: bool) -> np.ndarray:
    """One face over `background` (SIDE, SIDE, 3), as its photo shows it or as grey geometry."""
    with torch.no_grad():
        decoded = decoder(face)
        triangles = decoder.model.topology.triangles
        colors = shade(torch.full_like(decoded.albedo, 0.75), decoded.normals, studio_light())
        fragments = rasterize(decoded.vertices, triangles, _camera(SIDE).intrinsics, (SIDE, SIDE))
        shown = interpolate(fragments, fragments.barycentrics, colors if grey else decoded.colors, triangles)
        picture = torch.where(fragments.mask[0][..., None], shown[0].clamp(0, 1), background)
    return (picture * 255).byte().numpy()


def draw(decoder: FaceDecoder, face: Coefficients, crop: torch.Tensor, detected: np.ndarray) -> np.ndarray:
    """The eight pictures of one photo."""
    enlarged = Image.fromarray((crop * 255).byte().numpy()).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
    background = torch.from_numpy(np.array(enlarged)).float() / 255
    white = torch.ones(SIDE, SIDE, 3)
    pen = ImageDraw.Draw(enlarged)
    with torch.no_grad():
        projected = decoder(face).landmarks[0].numpy()
    for points, color in ((detected, (0, 0, 255)), (projected, (255, 0, 0))):
        for x, y in (points + 0.5) * (SIDE / 224) - 0.5:
            pen.ellipse((x - 2, y - 2, x + 2, y + 2), fill=color)

    def turned(source: Coefficients, degrees: float) -> Coefficients:
        return replace(source, rotation=torch.tensor([[0.0, math.radians(degrees), 0.0]]))

    neutral = replace(face, expression=torch.zeros_like(face.expression))
    white_light = torch.zeros_like(face.lighting)
    white_light[:, ::9] = 0.25  # irradiance 0.93 from all sides
    ambient = replace(neutral, lighting=white_light)
    above = [
        np.asarray(enlarged),
        render(decoder, face, background, grey=False),
        render(decoder, face, white, grey=True),
        render(decoder, turned(face, 40), white, grey=True),
    ]
    below = [render(decoder, turned(neutral, angle), white, grey=True) for angle in (-60, 0, 40)]
    below.append(render(decoder, turned(ambient, 0), white, grey=False))
    return np.vstack([np.hstack(above), np.hstack(below)])


def main() -> None:
    """Run the photo stages and the reconstruction, and write the pictures beside this file."""
    model = load_head(RESOURCES / "models" / "head.npz")
    offsets = landmark_offsets(model.topology, SETTINGS.landmark_convention)
    decoder = FaceDecoder(model, _camera(DEEP3D_SIZE), offsets)
    with tempfile.TemporaryDirectory() as work:
        crops, masks = Path(work, "crops"), Path(work, "masks")
        crops.mkdir()
        masks.mkdir()
        plan = plan_photo_set("demo", RESOURCES / "photos", Path(work, "plan"), 100)
        table = index_photos(plan.manifest("0000"), RESOURCES / "photos", IndexSettings())
        table = detect_faces(table, RESOURCES / "photos", DetectSettings())
        table = align_faces(table, RESOURCES / "photos", crops, AlignSettings())
        table = segment_skin(detect_landmarks(table, crops, LandmarkSettings()), crops, masks, SkinSettings())
        table, arrays = reconstruct_coarse(table, crops, masks, model, SETTINGS)
        sys.stdout.write(table[["photo", "status", "landmark_error", "photometric_error"]].to_string() + "\n")
        found = table[table["status"] == OK].reset_index(drop=True)
        for index, row in found.iterrows():
            rows = slice(index, index + 1)
            values = {f.name: torch.from_numpy(arrays[f.name][rows]) for f in fields(Coefficients)}
            detected = np.reshape(row["landmarks68"], (68, 2))
            picture = draw(decoder, Coefficients(**values), read_crop(crops, row["photo"]), detected)
            path = Path(__file__).with_name(f"coarse_{Path(row['photo']).stem}.png")
            Image.fromarray(picture).save(path, optimize=True)


if __name__ == "__main__":
    main()
