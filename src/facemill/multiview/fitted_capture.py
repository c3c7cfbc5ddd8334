"""A prepared capture together with its base mesh: what every rule after the fit starts from."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from facemill.formats.base_meshes import OK, BaseMesh, read_base_mesh
from facemill.formats.captures import Capture, PreparedView, picture_file, read_capture_file
from facemill.formats.meshes import read_mesh
from facemill.formats.stored_pictures import opened_picture
from facemill.geometry.camera import Camera
from facemill.geometry.mesh import Mesh
from facemill.models.morphable import MorphableModel
from facemill.models.topology import Topology
from facemill.runtime.errors import FormatError

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class FittedViews:
    """One capture and its fit.

    Attributes:
        name: of the capture.
        file: its capture.json.
        capture: as prepared.
        status, reason: `ok`, or the first thing that stopped the capture.
        mesh: None unless `status` is `ok`.
        report: what the fit tells of the capture.
    """

    name: str
    file: Path
    capture: Capture
    status: str
    reason: str
    mesh: BaseMesh | None
    report: Mapping[str, Any]

    @property
    def head(self) -> NDArray[np.float64]:
        """(V, 3) vertices in the head frame, millimetres, whatever the unit of the world."""
        mesh = self.fitted
        return mesh.in_head(mesh.vertices)

    @property
    def fitted(self) -> BaseMesh:
        """The mesh of a capture that is `ok`."""
        if self.mesh is None:
            raise ValueError(f"{self.name} has no base mesh: {self.status}: {self.reason}")
        return self.mesh

    def head_camera(self, view: PreparedView) -> Camera:
        """The camera of a view for points of the head frame in millimetres.

        x = R_c (s R h + t) + t_c is, up to the length s that a pinhole does not see,
        R_c R h + (R_c t + t_c) / s.
        """
        mesh = self.fitted
        rotation, translation = torch.from_numpy(mesh.rotation), torch.from_numpy(mesh.translation)
        camera = view.camera
        shifted = camera.rotation @ translation + camera.translation
        return Camera(camera.rotation @ rotation, shifted / mesh.scale, camera.intrinsics)

    def picture(self, view: PreparedView) -> NDArray[np.uint8]:
        """The undistorted picture of a view, (H, W, 3).

        Raises:
            FormatError: it is missing, damaged, or of another size than the capture says.
        """
        path = picture_file(self.file, view)
        with opened_picture(path, "a picture of prepare_capture", "make it again") as image:
            pixels = np.array(image.convert("RGB"))
        if pixels.shape[:2] != tuple(view.size):
            raise FormatError(
                f"{path} is of another size",
                f"{view.size[1]} x {view.size[0]}",
                f"{pixels.shape[1]} x {pixels.shape[0]}",
                "make it again with the rule prepare_capture",
            )
        return pixels

    def surface(self, topology: Topology) -> Mesh | None:
        """The base mesh in the head frame, millimetres; None of a capture that is not `ok`."""
        return None if self.mesh is None else Mesh(self.head, topology.triangles.numpy())

    def in_head(self, scan: CaptureScan) -> Mesh | None:
        """A scan of the capture's own world (in its own unit) in the head frame, millimetres; or None."""
        if self.mesh is None or scan.mesh is None:
            return None
        millimetres = np.asarray(scan.mesh.vertices * (self.capture.unit_mm or 1.0), dtype=np.float64)
        return scan.mesh.with_vertices(self.mesh.in_head(millimetres))

    def problem(self, scan: CaptureScan) -> tuple[str, str]:
        """Status and reason of what cannot be measured: the capture's own, or the scan's."""
        return (self.status, self.reason) if self.mesh is None else (scan.status, scan.reason)


@dataclass(frozen=True)
class CaptureScan:
    """The scan of a capture as its file has it; `mesh` is None unless `status` is `ok`."""

    mesh: Mesh | None
    status: str = OK
    reason: str = ""


def read_fitted(
    name: str, capture_file: str | Path, arrays: str | Path, report: str | Path, model: MorphableModel
) -> FittedViews:
    """Read capture.json and the files of `fit_base_mesh`.

    Raises:
        FormatError: see `read_capture_file` and `read_base_mesh`; or the mesh is of another model.
    """
    capture = read_capture_file(capture_file)
    if capture.status != OK:
        return FittedViews(name, Path(capture_file), capture, capture.status, capture.reason, None, {})
    fitted = read_base_mesh(arrays, report, name)
    if fitted.mesh is not None and len(fitted.mesh.vertices) != model.vertex_count:
        raise FormatError(
            f"{arrays} was fitted with another model",
            f"{model.vertex_count} vertices",
            f"{len(fitted.mesh.vertices)}",
            "run fit_base_mesh again",
        )
    return FittedViews(
        name, Path(capture_file), capture, fitted.status, fitted.reason, fitted.mesh, fitted.report
    )


def read_scan(path: str | Path | None) -> CaptureScan:
    """The scan of a capture, or none. A file that cannot be read is `bad_scan`."""
    if not path:
        return CaptureScan(None, "no_scan", "the capture has no scan")
    try:
        return CaptureScan(read_mesh(path))
    except FormatError as error:
        logger.warning("%s", error)
        return CaptureScan(None, "bad_scan", error.sentence)
