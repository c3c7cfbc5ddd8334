"""What textures of faces need of an atlas."""

import numpy as np
import torch

from facemill.faces.face_texture import prepare_atlas
from stand_ins.toy_model import make_toy_model
from unit.multiview.atlas_toys import cut_topology


def test_a_vertex_on_a_seam_has_the_place_of_its_first_triangle():
    topology = cut_topology(make_toy_model().topology)
    atlas = prepare_atlas(topology, 64)
    corners, places = (table.numpy().ravel() for table in (topology.triangles, topology.uv_triangles))
    several = 0
    for vertex in np.unique(corners):
        own = places[corners == vertex]
        several += len(np.unique(own)) > 1
        assert torch.equal(atlas.vertex_uv[vertex], topology.uv[own[0]].float())
    assert several > 5
