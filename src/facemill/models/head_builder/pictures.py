"""Pictures of a head model for its page in docs/."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from torch import Tensor

from facemill.geometry.camera import Camera, project
from facemill.models.head_builder.expressions import random_mixes
from facemill.models.morphable import MorphableModel
from facemill.rendering.render import render, turned_camera
from facemill.runtime.files import atomic_path
from facemill.runtime.seeds import generator_of

BACKGROUND = (0.60, 0.64, 0.68)
_DISTANCE = 1000.0
REGION_COLOURS = {
    "face": (0.80, 0.65, 0.60),
    "skin": (0.95, 0.80, 0.70),
    "scalp": (0.35, 0.30, 0.50),
    "neck": (0.50, 0.60, 0.50),
    "ears": (0.90, 0.60, 0.20),
    "nose": (0.50, 0.80, 0.40),
    "eyes": (0.40, 0.60, 0.90),
    "brows": (0.40, 0.20, 0.10),
    "lips": (0.85, 0.20, 0.30),
    "eyeballs": (1.0, 1.0, 1.0),
    "mouth_interior": (0.20, 0.10, 0.10),
}
_EXPRESSIONS: tuple[dict[str, float], ...] = (
    {},
    {"mouthSmileLeft": 0.7, "mouthSmileRight": 0.7},
    {"jawOpen": 0.3},
    {
        "jawOpen": 0.15,
        "mouthSmileLeft": 0.6,
        "mouthSmileRight": 0.6,
        "mouthUpperUpLeft": 0.4,
        "mouthUpperUpRight": 0.4,
    },
    {"eyeBlinkLeft": 1.0, "eyeBlinkRight": 1.0},
    {"mouthPucker": 0.8},
    {"browInnerUp": 0.8, "eyeWideLeft": 0.7, "eyeWideRight": 0.7, "jawOpen": 0.12},
    {"tongueOut": 1.0, "jawOpen": 0.45},
)


def studio_camera(focal: float, size: tuple[int, int], yaw_degrees: float = 0.0, lift: float = 0.0) -> Camera:
    """A camera one metre in front of the head frame; `lift` millimetres above its origin."""
    height, width = size
    base = Camera(
        torch.diag(torch.tensor([1.0, -1.0, -1.0])),
        torch.tensor([0.0, lift, _DISTANCE]),
        torch.tensor([[focal, 0.0, (width - 1) / 2], [0.0, focal, (height - 1) / 2], [0.0, 0.0, 1.0]]),
    )
    return turned_camera(base, yaw_degrees, about=torch.tensor([0.0, 0.0, -45.0]))


def studio_light(random: np.random.Generator | None = None) -> Tensor:
    """Harmonic lighting (1, 27): soft from the upper front, or a random white light from the front half."""
    direction, strength, ambient = np.array([0.25, 0.35, 0.9]), 0.33, 0.02
    if random is not None:
        direction = np.array([random.normal(0, 0.6), random.normal(0.3, 0.4), 1.0])
        strength, ambient = random.uniform(0.15, 0.35), random.uniform(-0.1, 0.06)
    direction = direction / np.linalg.norm(direction) * strength
    bands = np.zeros(9)
    bands[0] = ambient - 0.15
    # Order and signs of the three linear harmonics as in `harmonics_basis`: −y, z, −x.
    bands[1:4] = -direction[1], direction[2], -direction[0]
    return torch.from_numpy(np.tile(bands, 3)).float()[None]


def photograph(
    vertices: Tensor,
    triangles: Tensor,
    colours: Tensor,
    camera: Camera,
    size: tuple[int, int],
    lighting: Tensor | None,
) -> NDArray[np.float32]:
    """One head (V, 3) with colours (V, 3), four samples per pixel -> (height, width, 3) 0..1."""
    height, width = size
    double = torch.tensor([[2.0, 0.0, 0.5], [0.0, 2.0, 0.5], [0.0, 0.0, 1.0]])
    with torch.no_grad():
        picture = render(
            vertices[None],
            triangles,
            colours[None].clamp(0, 1),
            camera.cropped(double.to(camera.intrinsics)),
            (2 * height, 2 * width),
            lighting,
            background=torch.tensor(BACKGROUND),
        ).image[0]
    return picture.clamp(0, 1).reshape(height, 2, width, 2, 3).mean(dim=(1, 3)).numpy()


def random_head(
    model: MorphableModel, random: np.random.Generator, spread: float = 0.9
) -> tuple[Tensor, Tensor]:
    """Vertices (V, 3) and colours (V, 3) of a random person with a random expression."""
    identity = torch.from_numpy(random.normal(0, spread, (1, model.identity_count))).float()
    mix = torch.from_numpy(random_mixes(model.blendshape_names, 1, random)).float() * 0.7
    albedo = torch.from_numpy(random.normal(0, spread, (1, model.albedo_count))).float()
    shape = model.shape(identity, mix @ model.blendshape_coefficients)
    return shape[0], model.albedo(albedo)[0]


def draw_pictures(model: MorphableModel, folder: str | Path) -> None:
    """Write head_mean, head_random, head_expressions, head_landmarks, head_regions and head_atlas as PNG."""
    folder = Path(folder)
    mean = model.shape(torch.zeros(1, model.identity_count), torch.zeros(1, model.expression_count))[0]
    colours, triangles = model.albedo_mean, model.topology.triangles
    size, views = (620, 500), (0.0, 35.0, 85.0)
    cameras = [studio_camera(2350.0, size, yaw, lift=-10.0) for yaw in views]
    shown = [photograph(mean, triangles, colours, camera, size, studio_light()) for camera in cameras]
    _save(folder / "head_mean.png", np.concatenate(shown, axis=1))

    random, small = generator_of(0, "pictures"), (300, 250)
    heads = []
    for index in range(12):
        vertices, albedo = random_head(model, random)
        camera = studio_camera(1150.0, small, (0.0, 25.0, -30.0)[index % 3], lift=-12.0)
        heads.append(photograph(vertices, triangles, albedo, camera, small, studio_light(random)))
    _save(folder / "head_random.png", _sheet(heads, 6))

    faces = []
    for blendshapes in _EXPRESSIONS:
        vertices = model.shape(torch.zeros(1, model.identity_count), model.expression_of(blendshapes))[0]
        for yaw in (0.0, 35.0):
            camera = studio_camera(1350.0, small, yaw, lift=5.0)
            faces.append(photograph(vertices, triangles, colours, camera, small, studio_light()))
    _save(folder / "head_expressions.png", _sheet(faces, 8))

    grey = torch.full_like(colours, 0.72)
    large = (900, 760)
    drawn = []
    for yaw in (0.0, -35.0, -80.0):
        camera = studio_camera(4200.0, large, yaw, lift=5.0)
        drawn.append(
            _with_landmarks(
                photograph(mean, triangles, grey, camera, large, studio_light()), model, mean, camera
            )
        )
    _save(folder / "head_landmarks.png", np.concatenate(drawn, axis=1))

    painted = torch.full_like(colours, 0.5)
    for name, colour in REGION_COLOURS.items():
        painted[model.topology.regions[name]] = torch.tensor(colour)
    shown = [photograph(mean, triangles, painted, camera, size, studio_light()) for camera in cameras]
    _save(folder / "head_regions.png", np.concatenate(shown, axis=1))
    _save(folder / "head_atlas.png", np.concatenate([_atlas(model, colours), _atlas(model, painted)], axis=1))


def _with_landmarks(picture: NDArray, model: MorphableModel, vertices: Tensor, camera: Camera) -> NDArray:
    image = Image.fromarray((picture * 255).round().astype(np.uint8))
    pen = ImageDraw.Draw(image)
    pixels = project(vertices, camera).pixels.numpy()
    contour = model.topology.contour_candidates
    for x, y in pixels[contour[contour >= 0].numpy()]:
        pen.ellipse((x - 1, y - 1, x + 1, y + 1), fill=(0, 100, 0))
    for number, (x, y) in enumerate(pixels[model.topology.landmarks68.numpy()]):
        pen.ellipse((x - 3, y - 3, x + 3, y + 3), fill=(210, 0, 0))
        pen.text((x + 4, y - 6), str(number), fill=(0, 0, 170))
    return np.asarray(image, dtype=np.float32) / 255


def _atlas(model: MorphableModel, colours: Tensor, size: int = 700) -> NDArray[np.float32]:
    """The texture of vertex colours, drawn through a camera that sees the unit square."""
    topology = model.topology
    uv = topology.uv
    flat = torch.cat([uv[:, :1], 1 - uv[:, 1:], torch.ones(len(uv), 1)], dim=1)
    colour = torch.zeros(len(uv), 3)
    colour[topology.uv_triangles.reshape(-1)] = colours[topology.triangles.reshape(-1)]
    whole = torch.tensor([[float(size), 0.0, -0.5], [0.0, float(size), -0.5], [0.0, 0.0, 1.0]])
    camera = Camera(torch.eye(3), torch.zeros(3), whole)
    return photograph(flat, topology.uv_triangles, colour, camera, (size, size), None)


def _sheet(pictures: list[NDArray], columns: int) -> NDArray:
    rows = [
        np.concatenate(pictures[start : start + columns], axis=1)
        for start in range(0, len(pictures), columns)
    ]
    return np.concatenate(rows, axis=0)


def _save(path: Path, picture: NDArray) -> None:
    with atomic_path(path) as partial:
        Image.fromarray((np.clip(picture, 0, 1) * 255).round().astype(np.uint8)).save(partial, optimize=True)
