"""Where a detector sees a landmark that the model has elsewhere.

dlib's 68 points are not where the embedded head has its 68 vertices: on 560 synthetic people of the training
split (turned by less than 60 degrees, no test person among them) they lay, on average and alike on both
sides, 2.5 mm inside of the corners of the mouth, 2 to 5 mm inside and above of the brows' lower edge, 3 mm
inside of the wings of the nose, 2 mm above its tip. Fitted without this, every face gets a smaller mouth and
a higher nose than it has. The table was fitted by robust least squares: a displacement in the head frame per
landmark, turned with the head, the two sides mirrored; jaw landmarks slide and have none.
"""

from __future__ import annotations

import logging
from functools import cache
from importlib import resources

import torch
from torch import Tensor

from facemill.models.topology import Topology

COLUMNS = "landmark,vertex,x,y,z"

logger = logging.getLogger(__name__)


def landmark_offsets(topology: Topology, convention: str) -> Tensor:
    """(68, 3) millimetres, head frame, from the model's landmarks to the detector's; float64.

    Measured for the vertices of the embedded head: landmarks of a model that has other vertices get none.

    Args:
        convention: `dlib68`, or `model`: landmarks that are the model's own.
    """
    offsets = torch.zeros(68, 3, dtype=torch.float64, device=topology.landmarks68.device)
    if convention == "model":
        return offsets
    vertices = topology.landmarks68.tolist()
    table = _table(convention)
    for landmark, vertex, offset in table:
        if vertices[landmark] == vertex:
            offsets[landmark] = torch.tensor(offset, dtype=torch.float64)
    used = int((offsets != 0).any(dim=1).sum())
    if used < len(table):
        logger.warning(
            "%s's landmarks were measured against the embedded head; %d of %d are this model's",
            convention,
            used,
            len(table),
        )
    return offsets


@cache
def _table(convention: str) -> tuple[tuple[int, int, tuple[float, float, float]], ...]:
    """(landmark, vertex, displacement) for each row of `<convention>_offsets.csv`."""
    text = (resources.files("facemill.faces") / f"{convention}_offsets.csv").read_text(encoding="utf-8")
    header, *lines = text.splitlines()
    if header != COLUMNS:
        raise ValueError(f"{convention}_offsets.csv: expected the columns {COLUMNS}, found {header}")
    rows = []
    for line in lines:
        landmark, vertex, x, y, z = line.split(",")
        rows.append((int(landmark), int(vertex), (float(x), float(y), float(z))))
    return tuple(rows)
