"""ICT-FaceKit as a model of ours: shapes of light stage scans, colours of the embedded head."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from facemill.formats.ict_facekit import GEOMETRIES, IctFaceKit
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
from facemill.models.conversion.atlas import packed_atlas
from facemill.models.conversion.settings import IctFaceKitSettings
from facemill.models.head_builder.expressions import expression_basis
from facemill.models.morphable import LinearModel
from facemill.models.topology import NOW_FROM_LANDMARKS68, Topology
from facemill.runtime.seeds import generator_of

#: The geometries that are surfaces of a head. Fluid, blend and occlusion meshes and lashes are helpers of a
#: game engine's shaders: transparent there, they would hide the eyes here.
KEPT = tuple(name for name in GEOMETRIES if GEOMETRIES[name][1] <= GEOMETRIES["eyeball right"][1])
SKIN = ("face", "head and neck")
EYEBALLS = ("eyeball left", "eyeball right")
MOUTH = ("mouth socket", "gums and tongue", "teeth")
#: How much a vertex off the face counts in ordering the expression components; the face counts 1.
ELSEWHERE = 0.3


def model_of_ict_facekit(
    source: IctFaceKit, template: LinearModel, settings: IctFaceKitSettings
) -> LinearModel:
    """The linear model of the 24,591 vertices of skin, mouth and eyeballs.

    The light version of the model has no colours: mean and basis are those of the embedded head at the same
    places. Its origin is the mean of the face in height and depth.

    Args:
        template: the embedded head.
    """
    label = geometry_of_vertices()
    count = len(label)
    inside = (source.mesh.triangles < count).all(axis=1)
    triangles = source.mesh.triangles[inside]
    mean = source.mesh.vertices[:count]
    skin = np.isin(label, [KEPT.index(name) for name in SKIN])
    regions, albedo_mean, albedo_basis = _appearance(mean, source.landmarks68, label, template)
    mean = mean - [0.0, *mean[regions["face"]].mean(axis=0)[1:]]
    assert source.mesh.uv is not None and source.mesh.uv_triangles is not None  # the reader saw to it
    uv_triangles = source.mesh.uv_triangles[inside]
    if inside_out(mean, triangles[skin[triangles].all(axis=1)]):
        triangles, uv_triangles = turned(triangles), turned(uv_triangles)
    charts = np.maximum(label[triangles].max(axis=1) - 1, 0)  # face, and head and neck, are one chart
    uv, uv_triangles = packed_atlas(source.mesh.uv, np.asarray(uv_triangles, dtype=np.int64), charts)
    blendshapes = {name: moved[:count] for name, moved in source.blendshapes.items()}
    weights = np.where(label == KEPT.index("face"), 1.0, ELSEWHERE)
    expressions = expression_basis(
        blendshapes, weights, settings.expression_mixes, generator_of(settings.seed, "expressions")
    )
    topology = Topology(
        triangles=as_ids(triangles),
        uv=as_floats(uv),
        uv_triangles=as_ids(uv_triangles),
        landmarks68=as_ids(source.landmarks68),
        contour_candidates=as_ids(contour_candidates(source.landmarks68, mean, skin & ~regions["ears"])),
        now_landmarks=as_ids(source.landmarks68[list(NOW_FROM_LANDMARKS68)]),
        regions={name: as_ids(region).bool() for name, region in regions.items()},
    )
    return LinearModel(
        mean_shape=as_floats(mean),
        identity_basis=as_floats(source.identity[:, :count]),
        expression_basis=as_floats(expressions.basis),
        albedo_mean=as_floats(albedo_mean),
        albedo_basis=as_floats(albedo_basis),
        topology=topology,
        blendshape_names=expressions.names,
        blendshape_coefficients=as_floats(expressions.coefficients),
    )


def geometry_of_vertices() -> NDArray[np.int64]:
    """(24591,) index in `KEPT` of the geometry of each vertex that is kept."""
    sizes = [GEOMETRIES[name][1] - GEOMETRIES[name][0] + 1 for name in KEPT]
    return np.repeat(np.arange(len(KEPT)), sizes)


def _appearance(
    mean: NDArray, landmarks68: NDArray, label: NDArray[np.int64], template: LinearModel
) -> tuple[dict[str, NDArray[np.bool_]], NDArray, NDArray]:
    """Regions, albedo mean (V, 3) and basis (A, V, 3), each part from the same part of the template."""
    template_mean = template.mean_shape.double().numpy()
    moved = laid_on(mean, mean[landmarks68], template_mean, template.topology.landmarks68.numpy())
    of_template = template_regions(template)
    eyeballs = np.isin(label, [KEPT.index(name) for name in EYEBALLS])
    mouth = np.isin(label, [KEPT.index(name) for name in MOUTH])
    albedo_mean = np.zeros_like(mean)
    albedo_basis = np.zeros((template.albedo_count, *mean.shape), dtype=np.float32)
    regions: dict[str, NDArray[np.bool_]] = {}
    parts = {"outer": ~eyeballs & ~mouth, "eyeballs": eyeballs, "mouth_interior": mouth}
    for name, part in parts.items():
        found = match(moved[part], template, template_mean, of_template[name])
        albedo_mean[part] = found.values(template.albedo_mean.numpy())
        albedo_basis[:, part] = found.values(template.albedo_basis.numpy())
        if name == "outer":
            for region, inside in transferred_regions(found, template).items():
                regions[region] = np.zeros(len(mean), dtype=bool)
                regions[region][part] = inside
    skin = np.isin(label, [KEPT.index(name) for name in SKIN])
    for region in regions:
        regions[region] &= skin
    return regions | {"eyeballs": eyeballs, "mouth_interior": mouth}, albedo_mean, albedo_basis
