"""Structure from motion by COLMAP (pycolmap): cameras from photos of one still head, and nothing else."""

from __future__ import annotations

import copy
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pycolmap

from facemill.multiview.capture_settings import CalibrateCaptureSettings
from facemill.multiview.face_start import SeenFace, model_from_faces

IMAGES, DATABASE, SPARSE = "images", "features.db", "sparse"
LENS_LIMIT = 30.0
"""Of lens terms. With a long lens (10 degrees) they mean little at first, and pass COLMAP's limit of 1."""
LEAST_FACES = 3  # from which mapping starts
LEAST_MATCHES = 15  # of two pictures, as COLMAP has it
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


@dataclass(frozen=True)
class Faces:
    """Faces of the pictures by file name, and a mean face (68, 3), mm: where mapping can start."""

    seen: Mapping[str, SeenFace]
    points: np.ndarray


def map_pictures(
    folder: Path,
    groups: Sequence[CameraGroup],
    settings: CalibrateCaptureSettings,
    faces: Faces | None = None,
) -> Any | None:
    """The largest model that COLMAP finds, or None: from the poses of the faces, else from two pictures.

    Where all focal lengths are known, they are kept while pictures are added, because a small arc around a
    head hardly fixes them (a flatter head and a shorter lens make the same pictures); afterwards they may
    move by `focal_trust`. What does not hang together so is tried again with easier conditions, and with free
    focal lengths.
    """
    best = None
    count = _connected(folder / DATABASE)
    known = all(group.focal is not None for group in groups)
    can_pose = faces is not None and len(faces.seen) >= LEAST_FACES
    attempts: list[tuple[bool, bool, Mapping[str, float]]] = []
    for keep in [True, False] if known else [False]:
        attempts += [(keep, True, {})] * can_pose + [(keep, False, {}), (keep, False, EASIER)]
    for attempt, (keep, posed, easier) in enumerate(attempts):
        output = folder / f"{SPARSE}{attempt}"
        output.mkdir()
        for model in _models(folder, output, settings, keep, easier, faces if posed else None):
            if best is None or model.num_reg_images() > best.num_reg_images():
                best = _released(model, settings.focal_trust) if keep else model
        registered = 0 if best is None else best.num_reg_images()
        logger.info(
            "attempt %d (focal lengths kept: %s, from faces: %s): %d of %d registered",
            *(attempt, keep, posed, registered, count),
        )
        if registered >= count:
            break
    return best


def _models(
    folder: Path,
    output: Path,
    settings: CalibrateCaptureSettings,
    keep: bool,
    easier: Mapping[str, float],
    faces: Faces | None,
) -> list[Any]:
    """Models of one attempt. From faces: theirs, to which the pictures without a face are added."""
    start = ""
    if faces is not None:
        options = _mapping(settings, keep, easier)
        model = model_from_faces(folder / DATABASE, folder / IMAGES, faces.seen, faces.points, options)
        if model is None:
            return []
        start = str(folder / f"start{output.name}")
        Path(start).mkdir()
        model.write(start)
    options = _mapping(settings, keep, easier)
    found = pycolmap.incremental_mapping(
        folder / DATABASE, folder / IMAGES, output, options=options, input_path=start
    )
    return list(found.values())


def _connected(database: Path) -> int:
    """Pictures of the largest group that verified matches hang together: more cannot be registered."""
    opened = pycolmap.Database.open(database)
    numbers, geometries = opened.read_two_view_geometries()
    opened.close()
    group_of: dict[int, set[int]] = {}
    for number, geometry in zip(numbers, geometries, strict=True):
        if len(geometry.inlier_matches) >= LEAST_MATCHES:
            pair = pycolmap.pair_id_to_image_pair(number)
            joined = set().union(*(group_of.get(image, {image}) for image in pair))
            group_of.update(dict.fromkeys(joined, joined))
    return max(map(len, group_of.values()), default=0)


def _mapping(settings: CalibrateCaptureSettings, keep: bool, easier: Mapping[str, float]) -> Any:
    options = pycolmap.IncrementalPipelineOptions()
    options.num_threads, options.random_seed = 1, settings.seed
    options.mapper.num_threads, options.mapper.random_seed = 1, settings.seed
    options.triangulation.random_seed = settings.seed
    options.min_num_matches = LEAST_MATCHES
    options.min_model_size, options.extract_colors = 2, False
    options.ba_refine_focal_length = not keep
    options.mapper.abs_pose_refine_focal_length = not keep
    for part in (options, options.mapper, options.triangulation):
        part.max_extra_param = LENS_LIMIT
    for name, value in easier.items():
        setattr(options.mapper, name, value)
    return options


def _released(model: Any, trust: float) -> Any:
    """The model after its focal lengths were free to move, if none moved by more than `trust` (a share)."""
    before = {number: camera.mean_focal_length() for number, camera in model.cameras.items()}
    free = copy.deepcopy(model)
    options = pycolmap.BundleAdjustmentOptions()
    options.refine_focal_length, options.refine_extra_params, options.print_summary = True, True, False
    options.ceres.solver_options.num_threads = 1
    pycolmap.bundle_adjustment(free, options)
    moved = max(abs(camera.mean_focal_length() / before[n] - 1) for n, camera in free.cameras.items())
    logger.info("free focal lengths move by %.1f %%", 100 * moved)
    if moved > trust:
        return model
    free.update_point_3d_errors()
    return free


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
