"""FaceScape's bilinear model as a model of ours: its shapes and atlas, colours of the embedded head."""

from __future__ import annotations

import torch

from facemill.formats.facescape_model import EXPRESSIONS, FacescapeModel
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
from facemill.models.morphable import BilinearModel, LinearModel
from facemill.models.topology import NOW_FROM_LANDMARKS68, Topology


def model_of_facescape(source: FacescapeModel, template: LinearModel) -> BilinearModel:
    """The bilinear model of all vertices, in FaceScape's own frame.

    Its files have no colours: mean and basis are those of the embedded head at the same places, and so are
    the regions; its eyes and lips are one closed surface, so that `eyeballs` and `mouth_interior` are empty.
    Expression slots 1..51 are strengths from 0 to 1, which FaceScape's files do not name.

    Args:
        template: the embedded head.
    """
    mesh = source.mesh
    assert mesh.uv is not None and mesh.uv_triangles is not None  # the reader saw to it
    mean, triangles, uv_triangles = mesh.vertices, mesh.triangles, mesh.uv_triangles
    if inside_out(mean, triangles):
        triangles, uv_triangles = turned(triangles), turned(uv_triangles)
    template_mean = template.mean_shape.double().numpy()
    moved = laid_on(mean, mean[source.landmarks68], template_mean, template.topology.landmarks68.numpy())
    on_skin = match(moved, template, template_mean, template_regions(template)["outer"])
    regions = transferred_regions(on_skin, template)
    topology = Topology(
        triangles=as_ids(triangles),
        uv=as_floats(mesh.uv),
        uv_triangles=as_ids(uv_triangles),
        landmarks68=as_ids(source.landmarks68),
        contour_candidates=as_ids(contour_candidates(source.landmarks68, mean, ~regions["ears"])),
        now_landmarks=as_ids(source.landmarks68[list(NOW_FROM_LANDMARKS68)]),
        regions={name: as_ids(region).bool() for name, region in regions.items()},
    )
    return BilinearModel(
        core=torch.from_numpy(source.core),
        identity_mean=as_floats(source.identity_mean),
        identity_deviation=as_floats(source.identity_deviation),
        albedo_mean=as_floats(on_skin.values(template.albedo_mean.numpy())),
        albedo_basis=as_floats(on_skin.values(template.albedo_basis.numpy())),
        topology=topology,
        blendshape_names=tuple(f"facescape{slot:02d}" for slot in range(1, EXPRESSIONS)),
        blendshape_coefficients=torch.eye(EXPRESSIONS - 1),
    )
