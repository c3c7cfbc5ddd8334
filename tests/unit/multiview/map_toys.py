"""A toy head in a turned world, seen by three cameras: files of a prepared capture and of its fit."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from facemill.formats.base_meshes import BaseMesh, write_base_meshes
from facemill.formats.captures import Capture, PreparedView, dropped_view, write_capture
from facemill.geometry.camera import Camera
from facemill.geometry.mesh import Mesh
from facemill.geometry.rotation import matrix_from_axis_angle
from facemill.models.morphable import LinearModel
from facemill.multiview.fitted_capture import FittedViews, read_fitted
from facemill.rendering.render import render_geometry
from stand_ins.toy_model import make_toy_model

SIZE = (150, 100)
YAWS = (0.0, 40.0, -40.0)
TURN = matrix_from_axis_angle(torch.tensor([0.4, -0.8, 1.1], dtype=torch.float64)).numpy()
SHIFT = np.array([30.0, -700.0, 1200.0])


@dataclass(frozen=True)
class ToyCapture:
    """Files and truth: `head` (V, 3) vertices in the head frame; cameras of the world."""

    folder: Path
    model: LinearModel
    head: NDArray[np.float64]
    cameras: list[Camera]

    def files(self) -> tuple[Path, Path, Path]:
        return self.folder / "capture.json", self.folder / "person.npz", self.folder / "person.json"

    def read(self, name: str = "toy") -> FittedViews:
        return read_fitted(name, *self.files(), self.model)

    @property
    def mesh(self) -> Mesh:
        """The toy head in the head frame."""
        return Mesh(self.head, self.model.topology.triangles.numpy())


def head_camera(yaw: float) -> Camera:
    """A camera 900 mm in front of the head that looks at it from `yaw` degrees to the image right."""
    angle = torch.tensor([0.0, np.deg2rad(yaw), 0.0], dtype=torch.float64)
    flip = torch.diag(torch.tensor([1.0, -1.0, -1.0], dtype=torch.float64))
    intrinsics = torch.tensor([[330.0, 0, 50.0], [0, 340.0, 74.0], [0, 0, 1]], dtype=torch.float64)
    shift = torch.tensor([0.0, 0.0, 900.0], dtype=torch.float64)
    return Camera(flip @ matrix_from_axis_angle(-angle), shift, intrinsics)


def make_capture(folder: Path, scale: float = 1.0, status: str = "ok") -> ToyCapture:
    """One capture `toy` with three views and one that was dropped, and one `lost` without a mesh.

    Args:
        scale: units of the world per millimetre; other than 1 the unit is unknown.
    """
    model = make_toy_model()
    head = model.mean_shape.double().numpy()
    turn, shift = torch.from_numpy(TURN), torch.from_numpy(SHIFT * scale)
    (folder / "views").mkdir(parents=True, exist_ok=True)
    views, cameras = [], []
    for number, yaw in enumerate(YAWS):
        of_head = head_camera(yaw)
        # x_cam = R_h h + t_h with h = TURN^T (X - shift) / scale, times the scale
        rotation = of_head.rotation @ turn.T
        camera = Camera(rotation, scale * of_head.translation - rotation @ shift, of_head.intrinsics)
        grey = render_geometry(torch.from_numpy(head), model.topology.triangles, of_head, SIZE)
        tint = np.array([1.0, 0.75, 0.6])
        skin = np.where(grey < 0.99, grey * tint, 1.0)  # on a white ground
        Image.fromarray((255 * np.clip(skin, 0, 1)).astype(np.uint8)).save(folder / "views" / f"{number}.png")
        views.append(PreparedView(str(number), f"views/{number}.png", camera, SIZE))
        cameras.append(camera)
    views.append(dropped_view("blurred", "unreadable", "blurred.jpg is damaged"))
    known = scale == 1.0
    capture = Capture(
        status, "" if status == "ok" else "told why", 1.0 if known else None, "given", 0.0, tuple(views)
    )
    write_capture(folder / "capture.json", capture)
    mesh = BaseMesh(
        "toy",
        np.zeros(model.identity_count),
        np.zeros(model.expression_count),
        scale,
        TURN,
        SHIFT * scale,
        np.zeros_like(head),
        scale * head @ TURN.T + SHIFT * scale,
        0.5 + 0.01 * np.abs(head[:, 0]),
    )
    told = {
        "toy": {"status": "ok", "reason": ""},
        "lost": {"status": "no_face", "reason": "no view shows a face"},
    }
    write_base_meshes(folder / "person.npz", folder / "person.json", "person", [mesh], told)
    return ToyCapture(folder, model, head, cameras)
