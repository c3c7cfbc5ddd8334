"""Cameras for a capture that comes without: photos that somebody took walking around a still head."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from facemill.formats.cameras_json import write_cameras
from facemill.formats.colmap import read_colmap
from facemill.formats.exif import Exif, read_exif
from facemill.formats.rig_views import OK, Rig, RigView
from facemill.geometry.camera import Camera
from facemill.geometry.image import resize, resizing
from facemill.multiview.capture_plan import PlannedCapture, photo_files
from facemill.multiview.capture_settings import CalibrateCaptureSettings
from facemill.multiview.face_start import FaceStart, find_faces
from facemill.multiview.photo_frames import UNREADABLE
from facemill.multiview.prepare import NO_CAMERAS, TOO_FEW_VIEWS, Readers
from facemill.multiview.structure import (
    IMAGES,
    CameraGroup,
    Faces,
    Residuals,
    find_features,
    map_pictures,
    points_of,
    quiet,
    residuals_of,
)
from facemill.runtime.errors import FormatError, PhotoError
from facemill.runtime.files import write_json

UNREGISTERED = "unregistered"
DISTANCE = 1000.0  # of the cameras from what they show, in the made-up unit: a millimetre, if it is a metre

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class StagedPhoto:
    """A photo as COLMAP gets it, upright and reduced. size: (height, width) of that; full: of the photo."""

    file: Path
    name: str
    size: tuple[int, int]
    full: tuple[int, int]
    exif: Exif

    @property
    def focal(self) -> float | None:
        """Focal length in pixels of the staged picture by EXIF, or None."""
        return self.exif.focal_pixels(self.size)


@dataclass(frozen=True)
class Calibration:
    """Cameras and how they were found. residuals: of each registered photo, px of the photo, by view name."""

    rig: Rig
    residuals: Mapping[str, Residuals]
    points: int

    @property
    def reprojection(self) -> float | None:
        """Root mean square over all observations, px of the photos."""
        squares = [found.points * found.pixels**2 for found in self.residuals.values()]
        count = sum(found.points for found in self.residuals.values())
        return float(np.sqrt(sum(squares) / count)) if count else None


def calibrate_capture(
    planned: PlannedCapture,
    readers: Readers,
    settings: CalibrateCaptureSettings,
    start: FaceStart | None = None,
) -> Calibration:
    """Find the cameras of all photos of a capture, in a world of unknown unit.

    Photos are searched for points that stay in place while the camera moves (COLMAP). A photo that cannot be
    read or that shares too few points with the others is a view with a reason; a capture whose photos do not
    hang together at all has status `no_cameras`.

    Args:
        start: finds faces, whose poses are where the search starts; None: it starts from two photos.
    """
    quiet()
    photos = [Path(planned.folder, name) for name in photo_files(Path(planned.folder), readers.suffixes)]
    with tempfile.TemporaryDirectory(prefix="calibrate-") as place:
        folder = Path(place)
        (folder / IMAGES).mkdir()
        staged, lost = _stage(photos, readers, folder / IMAGES, settings.longer_side)
        if len(staged) < 2:
            reason = f"{planned.folder}: {len(staged)} of {len(photos)} photos can be read, two are needed"
            return Calibration(Rig(tuple(lost), None, TOO_FEW_VIEWS, reason), {}, 0)
        groups = camera_groups(staged, settings.shared_camera)
        find_features(folder, groups, settings)
        faces = None
        if start is not None:
            names = [f"{photo.name}.png" for photo in staged]
            faces = Faces(find_faces(folder / IMAGES, names, start), start.points)
            logger.info("%d of %d photos show a face", len(faces.seen), len(staged))
        model = map_pictures(folder, groups, settings, faces)
        if model is None:
            return Calibration(
                Rig((*_unregistered(staged, []), *lost), None, NO_CAMERAS, _apart(planned)), {}, 0
            )
        model.write_text(folder)
        views = read_colmap(folder, folder)
        residuals = residuals_of(model)
        centre = np.median(points_of(model), axis=0)
    found = _full_views(views, staged, centre)
    scale = {photo.name: photo.full[0] / photo.size[0] for photo in staged}
    by_view = {
        Path(name).stem: Residuals(one.points, one.pixels * scale[Path(name).stem])
        for name, one in residuals.items()
    }
    missing = _unregistered(staged, [view.name for view in found])
    rig = _judged(planned, Rig((*found, *missing, *lost)), settings)
    return Calibration(rig, by_view, model.num_points3D())


def camera_groups(photos: Sequence[StagedPhoto], shared: bool | None) -> list[CameraGroup]:
    """Photos that share intrinsics: of one camera, focal length and size by EXIF, or as `shared` says."""
    groups: dict[Any, list[StagedPhoto]] = {}
    for photo in photos:
        exif = photo.exif
        known = bool(exif.camera) and exif.focal_35mm is not None
        key: Any = (exif.camera, exif.focal_35mm, photo.full) if known or shared else photo.name
        if shared is False:
            key = photo.name
        groups.setdefault(key, []).append(photo)
    return [
        CameraGroup(tuple(f"{photo.name}.png" for photo in group), group[0].size, group[0].focal)
        for group in groups.values()
    ]


def write_calibration(
    cameras: str | Path, report: str | Path, planned: PlannedCapture, calibration: Calibration
) -> None:
    """Write `cameras.json`, which also works beside the photos, and `report.json`."""
    rig = calibration.rig
    write_cameras(cameras, rig, planned.folder)
    views = {}
    for view in rig.views:
        fitted = calibration.residuals.get(view.name)
        views[view.name] = {
            "status": view.status,
            "reason": view.reason,
            "points": 0 if fitted is None else fitted.points,
            "reprojection_px": None if fitted is None else fitted.pixels,
            "focal_px": None if view.camera is None else float(view.camera.intrinsics[0, 0]),
            "focal_source": view.focal_source if view.camera is not None else "",
        }
    write_json(
        report,
        {
            "capture": planned.name,
            "status": rig.status,
            "reason": rig.reason,
            "photos": len(rig.views),
            "registered": sum(view.status == OK for view in rig.views),
            "points": calibration.points,
            "reprojection_px": calibration.reprojection,
            "views": views,
        },
    )


def _stage(
    photos: Sequence[Path], readers: Readers, folder: Path, longer_side: int
) -> tuple[list[StagedPhoto], list[RigView]]:
    """Upright, reduced PNGs in `folder`, and views of the photos that cannot be read."""
    staged: list[StagedPhoto] = []
    lost = []
    for file in photos:
        name = file.stem if file.stem not in {photo.name for photo in staged} else file.name.replace(".", "_")
        try:
            pixels = readers.read(file).pixels
            exif = read_exif(file)
        except PhotoError as error:
            lost.append(RigView(name, file, status=error.status, reason=error.reason))
            continue
        except FormatError as error:
            lost.append(RigView(name, file, status=UNREADABLE, reason=error.sentence))
            continue
        full = pixels.shape[0], pixels.shape[1]
        scale = min(1.0, longer_side / max(full))
        size = max(1, round(full[0] * scale)), max(1, round(full[1] * scale))
        small = resize(pixels, size).image if size != full else pixels
        Image.fromarray(small).save(folder / f"{name}.png", compress_level=1)
        staged.append(StagedPhoto(file, name, size, full, exif))
    return staged, lost


def _full_views(views: Sequence[RigView], staged: Sequence[StagedPhoto], centre: np.ndarray) -> list[RigView]:
    """Views of the whole photos, in a world with `centre` as its origin and a unit near a millimetre."""
    by_name = {photo.name: photo for photo in staged}
    away = [
        float(np.linalg.norm(view.camera.centre.numpy() - centre))
        for view in views
        if view.camera is not None
    ]
    unit = DISTANCE / float(np.median(away))
    found = []
    for view in views:
        photo = by_name[view.name]
        assert view.camera is not None
        camera = view.camera.cropped(torch.from_numpy(resizing(photo.size, photo.full)))
        shift = (camera.translation + camera.rotation @ torch.from_numpy(centre)) * unit
        camera = Camera(camera.rotation, shift, camera.intrinsics)
        source = "exif" if photo.focal is not None else "guess"
        found.append(
            RigView(
                view.name, photo.file, camera, view.lens, photo.full, focal_source=f"calibrated from {source}"
            )
        )
    return found


def _unregistered(staged: Sequence[StagedPhoto], registered: Sequence[str]) -> list[RigView]:
    reason = (
        "too few points of this photo are found in the others; take photos in steps of 10 to 15 degrees, "
        "sharp, of a head that keeps still"
    )
    return [
        RigView(photo.name, photo.file, status=UNREGISTERED, reason=reason)
        for photo in staged
        if photo.name not in registered
    ]


def _apart(planned: PlannedCapture) -> str:
    return (
        f"{planned.folder}: no two photos share enough points to find their cameras; expected sharp photos "
        "in steps of 10 to 15 degrees around a still head; take more photos, or give cameras.json"
    )


def _judged(planned: PlannedCapture, rig: Rig, settings: CalibrateCaptureSettings) -> Rig:
    registered = [view for view in rig.views if view.status == OK]
    logger.info("%d of %d photos registered", len(registered), len(rig.views))
    if len(registered) >= settings.min_views:
        return rig
    reason = (
        f"{planned.folder}: {len(registered)} of {len(rig.views)} photos hang together, "
        f"{settings.min_views} are needed; take more photos in smaller steps"
    )
    return Rig(rig.views, rig.unit_mm, NO_CAMERAS, reason)
