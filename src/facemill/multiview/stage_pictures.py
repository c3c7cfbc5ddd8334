"""The bare surface of a capture after each stage, side by side: the face and two details of it, lit alike."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from facemill.geometry.camera import Camera
from facemill.geometry.mesh import Mesh
from facemill.geometry.rotation import rotation_about_y
from facemill.models.topology import Topology
from facemill.multiview.capture_files import MappedCapture
from facemill.multiview.stage_surfaces import StageMeshes, read_stage_meshes
from facemill.rendering.render import render_geometry
from facemill.runtime.files import atomic_path
from facemill.runtime.messages import INK, message

#: What is drawn, in columns: stage -> its heading.
SHOWN = {"base": "base mesh", "regularized": "regularized", "mesoscopic": "displaced (mesoscopic)"}
CAPTION = 20
DISTANCE = 20.0  # of the camera, in widths of what it sees: nearly parallel
AROUND_FACE = 0.53  # of the larger side of the face is the half of a picture


class Detail(NamedTuple):
    """What a row shows: centre (3,) in the head frame, mm from there to its edges, degrees of its turn."""

    centre: NDArray[np.float64]
    reach: float
    yaw: float


def write_stage_picture(
    capture: MappedCapture,
    topology: Topology,
    files: Mapping[str, str | Path],
    output: str | Path,
    side: int = 440,
) -> None:
    """Write the picture (PNG); of a capture that is not `ok` it says why in words.

    Args:
        files: the maps of the stages `regularized` and `mesoscopic`, as for `read_stage_meshes`.
        side: of each of the nine pictures, px.
    Raises:
        FormatError: see `read_stage_meshes`.
    """
    stages = read_stage_meshes(capture, topology, files)
    if stages.base is None:
        picture = message(f"{capture.fitted.name}: {stages.status}: {stages.reason}")
    else:
        picture = draw_stages(stages, details_of(stages.base, topology, capture.fitted.head), side)
    with atomic_path(output) as partial:
        picture.save(partial, format="PNG")


def details_of(base: Mesh, topology: Topology, head: NDArray) -> tuple[Detail, ...]:
    """The face turned by 25 degrees, its eye and brow, its cheek and mouth; only the face of a model that
    lacks these landmarks.

    Args:
        base: its face; head: (V, 3) all vertices of the model, both head frame, mm.
    """
    low, high = base.vertices.min(axis=0), base.vertices.max(axis=0)
    whole = Detail((low + high) / 2, AROUND_FACE * float((high - low)[:2].max()), 25.0)
    marks = topology.landmarks68.numpy()
    found = [whole]
    for landmark, aside, reach in ((36, (8.0, 10.0, 0.0), 22.0), (48, (-4.0, 8.0, 0.0), 22.0)):
        if marks[landmark] >= 0:
            found.append(Detail(np.asarray(head[marks[landmark]]) + np.array(aside), reach, 15.0))
    return tuple(found)


def draw_stages(stages: StageMeshes, details: tuple[Detail, ...], side: int) -> Image.Image:
    """A column for each of `SHOWN`, a row for each detail; words where a stage left nothing."""
    width = side + 6
    page = Image.new("RGB", (len(SHOWN) * width - 6, CAPTION + len(details) * width - 6), "white")
    pen = ImageDraw.Draw(page)
    for column, (name, heading) in enumerate(SHOWN.items()):
        left = column * width
        pen.text((left + 4, 4), heading, fill=INK)
        stage = stages.stages.get(name)
        mesh = stages.base if name == "base" else stage.mesh if stage else None
        if mesh is None:
            page.paste(message(stage.reason if stage else "it was not made", side), (left, CAPTION))
            continue
        for row, detail in enumerate(details):
            page.paste(draw_detail(mesh, detail, side), (left, CAPTION + row * width))
    return page


def draw_detail(mesh: Mesh, detail: Detail, side: int) -> Image.Image:
    """The grey surface around one place, seen along -z of the head frame once it is turned about +y."""
    turn = rotation_about_y(torch.tensor(np.deg2rad(detail.yaw), dtype=torch.float64))
    points = torch.from_numpy(mesh.vertices - detail.centre) @ turn.mT
    distance = DISTANCE * detail.reach
    focal = 0.5 * side * DISTANCE
    middle = (side - 1) / 2
    camera = Camera(
        torch.diag(torch.tensor([1.0, -1.0, -1.0], dtype=torch.float64)),
        torch.tensor([0.0, 0.0, distance], dtype=torch.float64),
        torch.tensor([[focal, 0, middle], [0, focal, middle], [0, 0, 1]], dtype=torch.float64),
    )
    picture = render_geometry(points, torch.from_numpy(mesh.triangles), camera, (side, side))
    return Image.fromarray((picture * 255 + 0.5).astype(np.uint8))
