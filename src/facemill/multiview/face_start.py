"""Where cameras stood, as the face they show tells: a start for structure from motion."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pycolmap
import torch
from numpy.typing import NDArray

from facemill.formats.captures import PreparedView
from facemill.geometry.camera import Camera
from facemill.models.morphable import MorphableModel
from facemill.multiview.landmark_views import Detectors, faces_of_views

INNER = np.arange(17, 68)  # of 68 landmarks: those that are spots of skin, not an outline
WORST = 0.12  # root mean square error of a pose, share of the face's extent: more is no face, or a wrong one
ROUNDS = ((8.0, 60.0), (4.0, 15.0), (2.0, 4.0))
"""Degrees and pixels within which points are believed, round by round: poses from landmarks are rough."""

FloatArray = NDArray[np.float64]
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class FaceStart:
    """What face poses need. points: (68, 3) of a mean face, mm. side, min_score: of `faces_of_views`."""

    detectors: Detectors
    points: FloatArray
    side: int
    min_score: float


@dataclass(frozen=True)
class SeenFace:
    """The inner landmarks (51, 2) of the largest face of a picture, and its extent; both in pixels."""

    pixels: FloatArray
    extent: float


@dataclass(frozen=True)
class Pose:
    """Camera from head. rotation: (3, 3). translation: (3,), mm."""

    rotation: FloatArray
    translation: FloatArray


def mean_landmarks(model: MorphableModel) -> FloatArray:
    """The 68 landmarks (68, 3) of the model's mean face, neutral, mm, head frame."""
    zeros = (torch.zeros(1, count) for count in (model.identity_count, model.expression_count))
    with torch.no_grad():
        vertices = model.shape(*zeros)[0]
    return vertices[model.topology.landmarks68].double().numpy()


def find_faces(folder: Path, names: Sequence[str], start: FaceStart) -> dict[str, SeenFace]:
    """Faces of pictures in a folder by file name; pictures without one are left out."""
    nowhere = Camera.at_origin((1.0, 1.0), (0.0, 0.0))
    views = [PreparedView(name, name, nowhere, (1, 1)) for name in names]
    found = faces_of_views(folder / "capture.json", views, start.detectors, start.side, start.min_score)
    return {
        one.view.name: SeenFace(one.faces[0].points[INNER], one.faces[0].extent) for one in found if one.faces
    }


def pose_of(face: SeenFace, points: FloatArray, intrinsics: FloatArray) -> Pose | None:
    """The pose in which a mean face (68, 3) shows these landmarks; None when it fits none.

    A focal length that is off moves the camera closer or farther, and hardly turns it.
    """
    found, turn, shift = cv2.solvePnP(points[INNER], face.pixels, intrinsics, None, flags=cv2.SOLVEPNP_SQPNP)
    if not found:
        return None
    turn, shift = cv2.solvePnPRefineLM(points[INNER], face.pixels, intrinsics, None, turn, shift)
    seen = cv2.projectPoints(points[INNER], turn, shift, intrinsics, None)[0][:, 0]
    error = float(np.sqrt(((seen - face.pixels) ** 2).sum(axis=1).mean()))
    if error > WORST * face.extent or shift[2] <= 0:
        return None
    return Pose(np.asarray(cv2.Rodrigues(turn)[0], float), np.asarray(shift[:, 0], float))


def model_from_faces(
    database: Path, images: Path, faces: Mapping[str, SeenFace], points: FloatArray, options: Any
) -> Any | None:
    """A COLMAP model of the pictures with faces: posed by them, triangulated and adjusted, ever stricter.

    Pictures that end with fewer points than `options.min_num_matches` are taken out again. None: fewer than
    two are left.

    Args:
        options: of COLMAP's incremental pipeline; whether focal lengths are kept is theirs to say.
    """
    model = _posed(database, faces, points)
    if model.num_reg_images() < 2:
        return None
    adjusting = pycolmap.BundleAdjustmentOptions()
    adjusting.print_summary, adjusting.refine_focal_length = False, options.ba_refine_focal_length
    adjusting.ceres.loss_function_type = pycolmap.LossFunctionType.SOFT_L1
    adjusting.ceres.solver_options.num_threads = 1
    output = images.parent / "posed"
    output.mkdir(exist_ok=True)
    for degrees, pixels in ROUNDS:
        part = options.triangulation
        part.create_max_angle_error = part.continue_max_angle_error = degrees
        part.merge_max_reproj_error = part.complete_max_reproj_error = pixels
        options.mapper.filter_max_reproj_error = pixels
        model = pycolmap.triangulate_points(
            model, database, images, output, clear_points=True, options=options, refine_intrinsics=True
        )
        _drop_loose(model, options.min_num_matches)
        if model.num_reg_images() < 2 or not model.num_points3D():
            return None
        pycolmap.bundle_adjustment(model, adjusting)
    model.update_point_3d_errors()
    logger.info("%d of %d pictures with faces hang together", model.num_reg_images(), len(faces))
    return model


def _posed(database: Path, faces: Mapping[str, SeenFace], points: FloatArray) -> Any:
    """A model without points, of the pictures whose faces have a pose."""
    opened = pycolmap.Database.open(database)
    cameras = {camera.camera_id: camera for camera in opened.read_all_cameras()}
    pictures = sorted(opened.read_all_images(), key=lambda picture: picture.name)
    opened.close()
    model = pycolmap.Reconstruction()
    for camera in cameras.values():
        model.add_camera_with_trivial_rig(camera)
    for picture in pictures:
        if picture.name not in faces:
            continue
        intrinsics = cameras[picture.camera_id].calibration_matrix()
        intrinsics[:2, 2] -= 0.5  # COLMAP's pixels begin at their corner, ours at their centre
        pose = pose_of(faces[picture.name], points, intrinsics)
        if pose is not None:
            image = pycolmap.Image(name=picture.name, camera_id=picture.camera_id, image_id=picture.image_id)
            placed = pycolmap.Rigid3d(pycolmap.Rotation3d(pose.rotation), pose.translation)
            model.add_image_with_trivial_frame(image, placed)
    return model


def _drop_loose(model: Any, least: int) -> None:
    for number in list(model.reg_image_ids()):
        image = model.image(number)
        if image.num_points3D < least:
            model.deregister_frame(image.frame_id)
