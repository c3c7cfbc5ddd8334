"""Structure from motion by COLMAP (pycolmap): cameras from photos of one still head, and nothing else."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pycolmap

from facemill.multiview.capture_settings import CalibrateCaptureSettings

IMAGES, DATABASE, SPARSE = "images", "features.db", "sparse"
EASIER = {"init_min_num_inliers": 30, "init_min_tri_angle": 4.0, "abs_pose_min_num_inliers": 12}
"""Of the mapper, for a second attempt: few photos, little texture, small steps between them."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class CameraGroup:
    """Pictures of one camera and one size, which share intrinsics. names: files in the folder of images.

    focal: pixels, or None: not known. size: (height, width).
    """

    names: tuple[str, ...]
    size: tuple[int, int]
    focal: float | None


@dataclass(frozen=True)
class Residuals:
    """Of one picture: number of points, and root mean square distance in pixels from where they belong."""

    points: int
    pixels: float


def find_features(folder: Path, groups: Sequence[CameraGroup], settings: CalibrateCaptureSettings) -> None:
    """Search and match SIFT features of the pictures in `<folder>/images`; results go to its database.

    Groups get a camera each; its focal length is COLMAP's guess where none is known.
    """
    extraction = pycolmap.FeatureExtractionOptions()
    extraction.num_threads, extraction.use_gpu = 1, False
    extraction.sift.max_num_features = settings.features
    for group in groups:
        reader = pycolmap.ImageReaderOptions()
        reader.camera_model = settings.lens
        if group.focal is not None:
            reader.camera_params = _parameters(settings.lens, group)
        pycolmap.extract_features(
            folder / DATABASE,
            folder / IMAGES,
            image_names=list(group.names),
            camera_mode=pycolmap.CameraMode.SINGLE,
            reader_options=reader,
            extraction_options=extraction,
        )
    matching = pycolmap.FeatureMatchingOptions()
    matching.num_threads, matching.use_gpu = 1, False
    matching.guided_matching = True
    verification = pycolmap.TwoViewGeometryOptions()
    verification.ransac.random_seed = settings.seed
    pycolmap.match_exhaustive(folder / DATABASE, matching_options=matching, verification_options=verification)


def map_pictures(folder: Path, settings: CalibrateCaptureSettings) -> Any | None:
    """The largest model that COLMAP's incremental mapping finds, or None; a second attempt asks for less."""
    best = None
    count = len(list((folder / IMAGES).iterdir()))
    for attempt, easier in enumerate(({}, EASIER)):
        options = pycolmap.IncrementalPipelineOptions()
        options.num_threads, options.random_seed = 1, settings.seed
        options.mapper.num_threads, options.mapper.random_seed = 1, settings.seed
        options.triangulation.random_seed = settings.seed
        options.min_model_size, options.extract_colors = 2, False
        for name, value in easier.items():
            setattr(options.mapper, name, value)
        output = folder / f"{SPARSE}{attempt}"
        output.mkdir()
        for model in pycolmap.incremental_mapping(
            folder / DATABASE, folder / IMAGES, output, options=options
        ).values():
            if best is None or model.num_reg_images() > best.num_reg_images():
                best = model
        if best is not None and best.num_reg_images() == count:
            break
        logger.info(
            "attempt %d: %d of %d registered", attempt, 0 if best is None else best.num_reg_images(), count
        )
    return best


def residuals_of(model: Any) -> dict[str, Residuals]:
    """How well each registered picture of a model fits, by file name."""
    found = {}
    for number in model.reg_image_ids():
        image = model.image(number)
        squares = []
        for point in image.get_observation_points2D():
            at = image.project_point(model.point3D(point.point3D_id).xyz)
            if at is not None:
                squares.append(float(((np.asarray(at) - point.xy) ** 2).sum()))
        found[image.name] = Residuals(len(squares), float(np.sqrt(np.mean(squares))) if squares else np.inf)
    return found


def points_of(model: Any) -> np.ndarray:
    """Points (N, 3) of a model in its world."""
    return np.array([point.xyz for point in model.points3D.values()]).reshape(-1, 3)


def quiet() -> None:
    """Let COLMAP log warnings and errors only."""
    pycolmap.logging.minloglevel = int(pycolmap.logging.WARNING)


def _parameters(lens: str, group: CameraGroup) -> str:
    """COLMAP's parameters for a focal length, a principal point in the middle and no distortion."""
    height, width = group.size
    focal = float(group.focal or 0.0)
    numbers = [focal, width / 2, height / 2]
    numbers += {"SIMPLE_RADIAL": [0.0], "RADIAL": [0.0, 0.0], "OPENCV": [0.0] * 4}[lens]
    if lens == "OPENCV":
        numbers.insert(1, focal)
    return ",".join(map(str, numbers))
