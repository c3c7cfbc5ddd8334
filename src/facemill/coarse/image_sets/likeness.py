"""Which photos of a folder show one person, by the descriptors of an identity network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import squareform
from torch import Tensor

from facemill.coarse.networks.identity_network import IdentityNetwork


class Majority(NamedTuple):
    """Which of N photos show the person whom most of them show.

    members: (N,) bool.
    likeness: (N,) mean cosine with the members other than itself; NaN where there is none.
    groups: number of photos of each person found, largest first.
    """

    members: NDArray[np.bool_]
    likeness: NDArray[np.float64]
    groups: list[int]


def describe_faces(
    network: IdentityNetwork, crops: Sequence[Tensor], landmarks: Sequence[Tensor]
) -> NDArray[np.float64]:
    """Descriptors of unit length (N, F), one face at a time: equal faces have equal ones to the last bit.

    Args:
        crops: N of (224, 224, 3), colours 0..1.
        landmarks: N of (68, 2), pixels of the crop.
    """
    found = []
    with torch.no_grad():
        for crop, points in zip(crops, landmarks, strict=True):
            found.append(network(crop[None], points[None])[0].double().numpy())
    return np.stack(found) if found else np.zeros((0, 0))


def find_majority(descriptors: NDArray, least_likeness: float) -> Majority:
    """Divide N photos into people and choose the one with most photos.

    Groups are merged, most alike first, while the mean cosine between their photos is at least
    `least_likeness` (average linkage): a photo that differs from one other, by its pose or by twenty years,
    stays as long as it is like the group. Of equally large groups the one whose photos are more alike wins,
    photos that are alone being compared with all others; of those, the one with the earliest photo.

    Args:
        descriptors: (N, F) of unit length; N = 0 is allowed.

    >>> find_majority(np.array([[1.0, 0.0], [0.0, 1.0], [0.6, 0.8]]), 0.7).members.tolist()
    [False, True, True]
    """
    count = len(descriptors)
    if count < 2:
        return Majority(np.ones(count, bool), np.full(count, np.nan), [1] * count)
    cosines = np.clip(descriptors @ descriptors.T, -1, 1)
    distances = 1 - (cosines + cosines.T) / 2
    np.fill_diagonal(distances, 0)
    # The tree cuts at <=; the margin keeps photos that are exactly at the threshold together.
    tree = linkage(squareform(distances, checks=False), "average")
    labels = fcluster(tree, 1 - least_likeness + 1e-9, "distance")
    groups = sorted(
        (np.flatnonzero(labels == label) for label in np.unique(labels)),
        key=lambda rows: (-len(rows), -_inner_likeness(cosines, rows), rows[0]),
    )
    members = np.zeros(count, bool)
    members[groups[0]] = True
    return Majority(members, _likeness_with(cosines, members), [len(rows) for rows in groups])


def _inner_likeness(cosines: NDArray, rows: NDArray[np.int64]) -> float:
    """Mean cosine of a group's photos with one another; of a photo alone, with all others. Rounded: equal
    cosines that were added in another order are a tie."""
    others = rows if len(rows) > 1 else np.arange(len(cosines))
    block = cosines[np.ix_(rows, others)]
    own = len(rows)
    return round(float((block.sum() - cosines[rows, rows].sum()) / (block.size - own)), 9)


def _likeness_with(cosines: NDArray, members: NDArray[np.bool_]) -> NDArray[np.float64]:
    others = members[None, :] & ~np.eye(len(cosines), dtype=bool)
    count = others.sum(axis=1)
    total = np.where(others, cosines, 0).sum(axis=1)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)
