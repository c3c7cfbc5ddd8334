"""The toy head before a rig of pinholes: landmarks as faces, photographs with a solid texture."""

from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image

from facemill.formats.captures import Capture, PreparedView, write_capture
from facemill.geometry.camera import Camera
from facemill.multiview.landmark_views import FacesOfView, ViewFace
from facemill.multiview.view_geometry import Pinholes
from facemill.rendering.rasterize import interpolate, rasterize
from facemill.synthesis.rig import moved_rig, random_motion, random_rig
from stand_ins.toy_model import make_toy_model

SIZE = (432, 288)  # (height, width): 0.75 mm per pixel
MIDDLE = np.array([0.0, 0.0, 0.0])


@dataclass(frozen=True)
class ToyRig:
    """A head in a turned world: vertices (V, 3) and landmarks (68, 3) world; views with exact cameras."""

    model: object
    identity: np.ndarray
    expression: np.ndarray
    head: np.ndarray
    vertices: np.ndarray
    rotation: np.ndarray
    shift: np.ndarray
    views: tuple[PreparedView, ...]

    @property
    def landmarks(self) -> np.ndarray:
        return self.vertices[self.model.topology.landmarks68.numpy()]

    @property
    def cameras(self) -> Pinholes:
        return Pinholes.of_views(self.views)

    @property
    def capture(self) -> Capture:
        return Capture("ok", "", 1.0, "given", 0.0, self.views)


def make_rig(views=6, seed=0, unit=1.0, identity=None, expression=None) -> ToyRig:
    """A toy head seen by the first `views` cameras of a rig; lengths of the world in `unit` per mm."""
    model = make_toy_model()
    random = np.random.default_rng(seed)
    identity = np.array([1.0, -0.8, 0.5, 0.0, 1.2, -0.4]) if identity is None else identity
    expression = np.array([0.6, -0.5, 0.0, 0.3]) if expression is None else expression
    head = model.shape(torch.tensor(identity)[None], torch.tensor(expression)[None])[0].numpy()
    rotation, shift = random_motion(random)
    rig = moved_rig(random_rig(random, views, SIZE, MIDDLE), rotation, shift)
    prepared = tuple(
        PreparedView(
            f"v{n}",
            f"views/v{n}.png",
            Camera(one.camera.rotation, one.camera.translation * unit, one.camera.intrinsics),
            SIZE,
        )
        for n, one in enumerate(rig)
    )
    return ToyRig(
        model,
        identity,
        expression,
        head,
        unit * (head @ rotation.T + shift),
        rotation,
        unit * shift,
        prepared,
    )


def faces_of(rig: ToyRig, noise=0.0, seed=1, points=None) -> list[FacesOfView]:
    """What a detector without faults would see, with noise in pixels."""
    random = np.random.default_rng(seed)
    pixels, _ = rig.cameras.project(rig.landmarks if points is None else points)
    pixels = pixels + noise * random.standard_normal(pixels.shape)
    return [FacesOfView(view, (ViewFace(seen, 0.98),)) for view, seen in zip(rig.views, pixels, strict=True)]


def solid_texture(points: np.ndarray, seed=3) -> np.ndarray:
    """Grey 0..1 of places of the head (…, 3) mm: many plane waves, 4 to 25 mm long."""
    random = np.random.default_rng(seed)
    towards = random.standard_normal((40, 3))
    towards /= np.linalg.norm(towards, axis=1, keepdims=True)
    waves = towards * (2 * np.pi / random.uniform(4, 25, (40, 1)))
    value = np.sin(points @ waves.T + random.uniform(0, 6.28, 40)).sum(axis=-1) / 40
    return np.clip(0.5 + 1.3 * value, 0, 1)


def photographs(rig: ToyRig, shifts=None) -> list[np.ndarray]:
    """The views (H, W, 3) uint8; shifts: number of a view -> mm (3,) of the world that the head is off."""
    topology = rig.model.topology
    pictures = []
    for number, view in enumerate(rig.views):
        vertices = rig.vertices + np.asarray((shifts or {}).get(number, np.zeros(3)))
        inside = torch.from_numpy(vertices) @ view.camera.rotation.T + view.camera.translation
        fragments = rasterize(inside[None], topology.triangles, view.camera.intrinsics, SIZE, near=1e-3)
        head = torch.from_numpy(rig.head)
        places = interpolate(fragments, fragments.barycentrics, head, topology.triangles)[0].numpy()
        grey = np.where((fragments.triangle_ids[0] >= 0).numpy(), solid_texture(places), 0.05)
        pictures.append(np.repeat(np.rint(255 * grey)[..., None], 3, axis=2).astype(np.uint8))
    return pictures


def write_rig(folder, rig: ToyRig, shifts=None, **changes) -> None:
    """capture.json and its pictures."""
    (folder / "views").mkdir(parents=True)
    for view, picture in zip(rig.views, photographs(rig, shifts), strict=True):
        Image.fromarray(picture).save(folder / view.file)
    values = {"unit_mm": 1.0, "unit_source": "given", "unit_deviation": 0.0} | changes
    write_capture(folder / "capture.json", Capture("ok", "", views=rig.views, **values))
