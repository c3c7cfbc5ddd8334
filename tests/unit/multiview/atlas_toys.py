"""Atlases for tests."""

import numpy as np
import torch

from facemill.models.topology import Topology


def cut_topology(topology):
    """The toy's topology with an atlas in two halves, cut in the middle of the face."""
    uv = topology.uv.double().numpy()
    right = uv[topology.uv_triangles.numpy()].mean(axis=1)[:, 0] > 0.5
    table = topology.uv_triangles.numpy().copy()
    table[right] += len(uv)
    apart = np.stack([uv[:, 0] * 0.9 + 0.1, uv[:, 1]], axis=1)
    both = np.concatenate([uv * [0.9, 1.0], apart])
    return Topology(
        **{
            **vars(topology),
            "uv": torch.from_numpy(both).to(topology.uv),
            "uv_triangles": torch.from_numpy(table),
        }
    )
