"""Finer meshes and the displacement of the whole head: no cracks, no steps, known answers."""

import numpy as np
import pytest
import torch

from facemill.formats.surface_maps import SurfaceMap
from facemill.models.topology import Topology
from facemill.multiview.displaced_head import displaced_head, resampled
from facemill.multiview.fine_mesh import refine_face
from facemill.multiview.uv_atlas import bare_face
from facemill.rendering.texture import UvRaster
from stand_ins.toy_model import make_toy_model
from unit.multiview.atlas_toys import cut_topology

TEXELS = 256


def border_edges(triangles):
    """Undirected edges that belong to one triangle."""
    sides = np.sort(np.stack([triangles, np.roll(triangles, -1, axis=1)], axis=-1).reshape(-1, 2), axis=1)
    edges, counts = np.unique(sides, axis=0, return_counts=True)
    assert counts.max() <= 2
    return edges[counts == 1]


@pytest.fixture(scope="module")
def toy():
    model = make_toy_model()
    return model.topology, model.mean_shape.double().numpy()


def test_face_is_finer_and_the_surface_the_same(toy):
    topology, points = toy
    fine = refine_face(topology, points, 1.5)
    mesh = fine.mesh(fine.means @ points)
    sides = np.linalg.norm(
        mesh.vertices[fine.triangles] - mesh.vertices[np.roll(fine.triangles, 1, 1)], axis=2
    )
    assert sides[fine.face].max() <= 1.5 * 2**0.5 and fine.face.sum() > 10 * len(topology.triangles)

    def area(vertices, triangles):
        a, b, c = (vertices[triangles[:, k]] for k in range(3))
        return np.linalg.norm(np.cross(b - a, c - a), axis=1).sum() / 2

    assert area(mesh.vertices, fine.triangles) == pytest.approx(area(points, topology.triangles.numpy()))
    with pytest.raises(ValueError, match="positive"):
        refine_face(topology, points, 0.0)


def test_no_crack_appears_also_where_the_atlas_is_cut(toy):
    topology, points = toy
    cut = cut_topology(topology)
    fine = refine_face(cut, points, 2.0)
    plain = refine_face(topology, points, 2.0)
    before = border_edges(topology.triangles.numpy())
    after = border_edges(fine.triangles)
    length = lambda v, e: np.linalg.norm(v[e[:, 0]] - v[e[:, 1]], axis=1).sum()  # noqa: E731
    assert length(fine.means @ points, after) == pytest.approx(length(points, before))
    assert np.array_equal(border_edges(plain.triangles), after)
    raster = UvRaster.from_atlas(cut.uv.numpy(), cut.uv_triangles.numpy(), TEXELS)
    rough = np.random.default_rng(0).normal(1.0, 0.3, (TEXELS, TEXELS)).astype(np.float32)
    head = displaced_head(cut, raster, points, surface_of(rough))
    moved = head.displaced(fine).vertices
    # A vertex on the cut stands between its neighbours: nothing jumps there by the roughness of the map.
    seam = np.zeros(len(moved), dtype=bool)
    pairs = np.unique(fine.triangles.ravel() * len(fine.uv) + fine.uv_triangles.ravel()) // len(fine.uv)
    numbers, counts = np.unique(pairs, return_counts=True)
    seam[numbers[counts == 2]] = True
    assert seam.sum() > 20
    sides = np.stack([fine.triangles, np.roll(fine.triangles, -1, axis=1)], axis=-1).reshape(-1, 2)
    across = sides[seam[sides[:, 0]] & ~seam[sides[:, 1]]]
    change = np.linalg.norm(moved - fine.means @ points, axis=1)
    assert np.abs(change[across[:, 0]] - change[across[:, 1]]).max() < 0.5


def surface_of(displacement):
    shape = displacement.shape
    return SurfaceMap(
        shape[0], (0, 0, *shape), displacement, np.ones(shape, np.float32), np.ones(shape, bool)
    )


def test_constant_displacement_moves_the_face_by_it_and_fades_beyond(toy):
    topology, points = toy
    bare = points[:, 0] < 20
    regions = topology.regions | {"face": torch.from_numpy(bare)}
    topology = Topology(**{**vars(topology), "regions": regions})
    assert np.array_equal(bare_face(topology).numpy(), bare)
    raster = UvRaster.from_atlas(topology.uv.numpy(), topology.uv_triangles.numpy(), TEXELS)
    values = np.full((64, 64), 1.5, dtype=np.float32)
    values[30:34, 30:34] = np.nan  # unknown: as its neighbours
    head = displaced_head(topology, raster, points, surface_of(values))
    assert np.allclose(head.displacement[head.face], 1.5, atol=1e-6)
    fine = refine_face(topology, points, 3.0)
    moved = np.linalg.norm(head.displaced(fine).vertices - fine.means @ points, axis=1)[: len(points)]
    assert np.allclose(moved[bare], 1.5, atol=0.1)
    beyond = points[:, 0] - points[bare, 0].max()  # mm along x, less than along the surface
    assert moved.max() <= 1.5 + 1e-6
    assert moved[~bare & (beyond < 3)].min() > 0.4 and moved[beyond > 40].max() < 0.05
    with pytest.raises(ValueError, match="finite"):
        displaced_head(topology, raster, points, surface_of(np.full((8, 8), np.nan, dtype=np.float32)))


def test_numbering_of_vertices_does_not_matter(toy):
    topology, points = toy
    order = np.random.default_rng(3).permutation(len(points))
    place = np.argsort(order)
    other = Topology(
        **{
            **vars(topology),
            "triangles": torch.from_numpy(place[topology.triangles.numpy()]),
            "regions": {name: region[torch.from_numpy(order)] for name, region in topology.regions.items()},
        }
    )
    values = np.random.default_rng(4).normal(0, 0.5, (64, 64)).astype(np.float32)
    found = []
    for one, vertices in ((topology, points), (other, points[order])):
        raster = UvRaster.from_atlas(one.uv.numpy(), one.uv_triangles.numpy(), TEXELS)
        head = displaced_head(one, raster, vertices, surface_of(values))
        found.append(head.displaced(refine_face(one, vertices, 4.0)).vertices[: len(points)])
    assert np.allclose(found[1], found[0][order], atol=1e-6)


def test_maps_are_read_at_the_same_places_of_the_atlas():
    ramp = np.tile(np.arange(8.0), (8, 1))
    part = (slice(4, 12), slice(4, 12))
    fine = resampled(ramp, 16, (2, 2, 8, 8), 32, part)
    # Texel 8 of 32 lies at 8.5 / 32 = 4.25 / 16, which is texel 3.75 of 16, column 1.75 of the window.
    assert fine[0, 4] == pytest.approx(1.75, abs=2e-2)
    same = resampled(ramp, 16, (2, 2, 8, 8), 16, (slice(2, 10), slice(2, 10)))
    assert np.array_equal(same, ramp)
