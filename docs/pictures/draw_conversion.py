"""Draw convert_bfm09.png and convert_ict_facekit.png: what the converters make of the stand-ins of the tests.

Above: the mean in its mean colours; middle: regions; below: landmarks (red) and the lines of the jaw (green).

PYTHONPATH=src:tests python docs/pictures/draw_conversion.py
"""

import tempfile
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from facemill.formats.ict_facekit import read_ict_facekit
from facemill.geometry.camera import Camera, project
from facemill.models.conversion.bfm09 import convert_bfm09
from facemill.models.conversion.ict_facekit import model_of_ict_facekit
from facemill.models.conversion.settings import IctFaceKitSettings
from facemill.models.head_builder.pictures import REGION_COLOURS, photograph, studio_camera, studio_light
from facemill.models.morphable import LinearModel
from stand_ins.bfm09 import write_bfm09
from stand_ins.ict_facekit import write_ict_facekit
from stand_ins.surface import template

HERE = Path(__file__).resolve().parent
SIZE = (400, 330)
YAWS = (0.0, -35.0, -85.0)


def rows_of(model: LinearModel) -> NDArray:
    """Three rows of views of the mean face."""
    painted = torch.full_like(model.albedo_mean, 0.5)
    for name, colour in REGION_COLOURS.items():
        painted[model.topology.regions[name]] = torch.tensor(colour)
    grey = torch.full_like(painted, 0.72)
    cameras = [studio_camera(1450.0, SIZE, yaw, lift=-2.0) for yaw in YAWS]
    rows = []
    for colours in (model.albedo_mean, painted, grey):
        views = [view(model, colours, camera, marked=colours is grey) for camera in cameras]
        rows.append(np.concatenate(views, axis=1))
    return np.concatenate(rows, axis=0)


def view(model: LinearModel, colours: torch.Tensor, camera: Camera, marked: bool) -> NDArray:
    shown = photograph(model.mean_shape, model.topology.triangles, colours, camera, SIZE, studio_light())
    image = Image.fromarray((shown * 255).round().astype(np.uint8))
    if marked:
        pen = ImageDraw.Draw(image)
        pixels = project(model.mean_shape, camera).pixels.numpy()
        lines = model.topology.contour_candidates
        for x, y in pixels[lines[lines >= 0].numpy()]:
            pen.point((x, y), fill=(0, 110, 0))
        for x, y in pixels[model.topology.landmarks68.numpy()]:
            pen.ellipse((x - 2, y - 2, x + 2, y + 2), fill=(210, 0, 0))
    return np.asarray(image)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        write_bfm09(place / "bfm09")
        converted = convert_bfm09(place / "bfm09", template())
        both = np.concatenate([rows_of(converted.model), rows_of(converted.head)], axis=1)
        Image.fromarray(both).save(HERE / "convert_bfm09.png", optimize=True)
        write_ict_facekit(place / "ict_facekit", 4)
        source = read_ict_facekit(place / "ict_facekit", 4)
        facekit = model_of_ict_facekit(source, template(), IctFaceKitSettings(identity_count=4))
        Image.fromarray(rows_of(facekit)).save(HERE / "convert_ict_facekit.png", optimize=True)


if __name__ == "__main__":
    main()
