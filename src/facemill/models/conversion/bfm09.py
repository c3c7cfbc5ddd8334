"""The Basel Face Model 2009 as a model of ours: Deep3DFaceRecon's crop, and the whole head for NoW."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.linalg import splu

from facemill.formats.bfm09 import Bfm09Bases, Bfm09Front, Bfm09Head, front_of, head_of, read_model_front
from facemill.formats.bfm09_files import MODEL_FILE, read_bfm09_files
from facemill.geometry.mesh import adjacency
from facemill.models.conversion.anatomy import (
    as_floats,
    as_ids,
    contour_candidates,
    inside_out,
    laid_on,
    match,
    template_regions,
    transferred_regions,
    turned,
)
from facemill.models.conversion.atlas import cylinder_atlas, patch_atlas
from facemill.models.morphable import LinearModel
from facemill.models.topology import NOW_FROM_LANDMARKS68, Topology

log = logging.getLogger(__name__)

CROP_FILE = "BFM_model_front.mat"


@dataclass(frozen=True)
class ConvertedBfm09:
    """The same person space twice, in one frame and with one set of coefficients (80, 64, 80).

    Attributes:
        model: the crop of 35,709 vertices.
        head: the whole head of 53,490 vertices; the crop again where the files hold no whole head.
        crop: the crop as `write_model_front` writes it.
    """

    model: LinearModel
    head: LinearModel
    crop: Bfm09Front


def convert_bfm09(folder: str | Path, template: LinearModel) -> ConvertedBfm09:
    """Convert 01_MorphableModel.mat and the files beside it; without them BFM_model_front.mat alone.

    Args:
        template: the embedded head, from which the names of regions are taken.
    Raises:
        LicensedFileError: a file is missing, is another one, is cut short, or holds other shapes or indices.
    """
    folder = Path(folder)
    if (folder / CROP_FILE).is_file() and not (folder / MODEL_FILE).exists():
        crop = read_model_front(folder / CROP_FILE)
        log.info("%s alone: there is no whole head, NoW is answered with the crop", CROP_FILE)
        model = model_of_crop(crop, template)
        return ConvertedBfm09(model, model, crop)
    files = read_bfm09_files(folder)
    crop, whole = front_of(files), head_of(files)
    model = model_of_crop(crop, template)
    if whole is None:
        log.warning("%s holds no triangles `tl`: NoW is answered with the crop", folder / MODEL_FILE)
        return ConvertedBfm09(model, model, crop)
    return ConvertedBfm09(model, model_of_head(whole, crop, template), crop)


def model_of_crop(crop: Bfm09Front, template: LinearModel) -> LinearModel:
    """The crop as a linear model; the origin is the mean of its mean vertices, as in Deep3DFaceRecon.

    `face` is the region that Deep3DFaceRecon compares with photos, `skin` the one whose albedo it keeps even;
    the other regions are the embedded head's at the same places. BFM's eyes and lips are one closed surface,
    so that `eyeballs` and `mouth_interior` are empty.
    """
    mean = crop.bases.mean_shape - origin_of(crop)
    _check_size(mean[crop.landmarks68])
    triangles = _outward(mean, crop.triangles)
    regions = _regions(mean, mean[crop.landmarks68], template)
    face = np.zeros(len(mean), dtype=bool)
    face[crop.front] = True
    regions |= {"face": face, "skin": crop.skin}
    uv, uv_triangles = patch_atlas(mean.astype(np.float64), triangles)
    return _model(crop.bases, mean, triangles, uv, uv_triangles, crop.landmarks68, regions)


def model_of_head(head: Bfm09Head, crop: Bfm09Front, template: LinearModel) -> LinearModel:
    """The whole head in the frame of the crop's model.

    The vertices that the expression basis leaves out follow their neighbours (harmonically).
    """
    mean = head.bases.mean_shape - origin_of(crop)
    landmarks = head.crop[crop.landmarks68]
    triangles = _outward(mean, head.triangles)
    expression = continued(head.bases.expression_basis, head.expressive, triangles)
    bases = Bfm09Bases(
        head.bases.mean_shape,
        head.bases.identity_basis,
        expression,
        head.bases.albedo_mean,
        head.bases.albedo_basis,
    )
    uv, uv_triangles = cylinder_atlas(mean, triangles)
    regions = _regions(mean, mean[landmarks], template)
    return _model(bases, mean, triangles, uv, uv_triangles, landmarks, regions)


def origin_of(crop: Bfm09Front) -> NDArray[np.float32]:
    """(3,) the mean of the crop's mean vertices, millimetres in BFM's frame."""
    middle: NDArray[np.float32] = crop.bases.mean_shape.mean(axis=0, dtype=np.float64).astype(np.float32)
    return middle


def _model(
    bases: Bfm09Bases,
    mean: NDArray,
    triangles: NDArray[np.int64],
    uv: NDArray,
    uv_triangles: NDArray[np.int64],
    landmarks: NDArray[np.int64],
    regions: dict[str, NDArray[np.bool_]],
) -> LinearModel:
    outside = np.ones(len(mean), dtype=bool)
    topology = Topology(
        triangles=as_ids(triangles),
        uv=as_floats(uv),
        uv_triangles=as_ids(uv_triangles),
        landmarks68=as_ids(landmarks),
        contour_candidates=as_ids(contour_candidates(landmarks, mean, outside)),
        now_landmarks=as_ids(landmarks[list(NOW_FROM_LANDMARKS68)]),
        regions={name: as_ids(region).bool() for name, region in regions.items()},
    )
    return LinearModel(
        mean_shape=as_floats(mean),
        identity_basis=as_floats(bases.identity_basis),
        expression_basis=as_floats(bases.expression_basis),
        albedo_mean=as_floats(bases.albedo_mean),
        albedo_basis=as_floats(bases.albedo_basis),
        topology=topology,
    )


def _outward(mean: NDArray, triangles: NDArray[np.int64]) -> NDArray[np.int64]:
    return turned(triangles) if inside_out(mean, triangles) else triangles


def _regions(mean: NDArray, landmarks: NDArray, template: LinearModel) -> dict[str, NDArray[np.bool_]]:
    template_mean = template.mean_shape.double().numpy()
    moved = laid_on(mean, landmarks, template_mean, template.topology.landmarks68.numpy())
    on_skin = match(moved, template, template_mean, template_regions(template)["outer"])
    return transferred_regions(on_skin, template)


def continued(
    basis: NDArray[np.float32], known: NDArray[np.bool_], triangles: NDArray[np.int64]
) -> NDArray[np.float32]:
    """`basis` (E, V, 3) with each unknown vertex moving as the mean of its neighbours.

    Args:
        known: (V,) bool; triangles: (F, 3). Vertices without a way to a known one do not move.
    """
    unknown = np.flatnonzero(~known)
    if not len(unknown):
        return basis
    neighbours = adjacency(triangles, len(known)).tocsr()[unknown]
    degree = np.asarray(neighbours.sum(axis=1)).ravel()
    # The trace keeps vertices without a way to a known one where they are.
    system = sparse.diags_array(degree + 1e-9) - neighbours[:, unknown]
    flat = np.moveaxis(basis, 0, 1).reshape(len(known), -1).astype(np.float64)
    flat[unknown] = splu(sparse.csc_matrix(system)).solve(neighbours[:, np.flatnonzero(known)] @ flat[known])
    return np.ascontiguousarray(np.moveaxis(flat.reshape(len(known), -1, 3), 1, 0), dtype=np.float32)


def _check_size(landmarks: NDArray) -> None:
    """Say so when the eyes of the mean face are not where an adult's are."""
    width = float(np.linalg.norm(landmarks[45] - landmarks[36]))
    if not 60.0 <= width <= 130.0:
        log.warning(
            "the outer corners of the eyes lie %.1f mm apart in the mean face: expected about 90; "
            "the model was made from files in other units, or of no face",
            width,
        )
