"""Where brows, lips and lids lie on the skin: the model's colours brought over those that the photos show.

Photo-consistency and outlines place the surface along its normals; nothing there says which vertex lies where
on it. The model's colours do: they are moved over the surface until they agree with the photos. Only hues are
compared (ratios of red, green and blue): light and shade, which the model does not know, leave them alone.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import linalg, sparse
from scipy.ndimage import map_coordinates
from scipy.spatial import cKDTree

from facemill.geometry.image import resizing
from facemill.models.morphable import MorphableModel
from facemill.multiview.base_mesh.evidence import CaptureViews, tangents, thinned, visible_cosines
from facemill.multiview.base_mesh.face_model import FaceModel
from facemill.multiview.base_mesh.state import Equations, PersonState, world_jacobian
from facemill.multiview.view_geometry import FloatArray, Pinholes

SPACING = 1.5  # mm between the vertices that are compared
SHARE = 0.1  # weight of one of them: errors of hues go together over some millimetres
NOISE = 0.04  # of a hue, one standard deviation
PLAIN = 0.01  # standard deviation of the model's hues below which it has none to compare
SMOOTH = 8.0  # mm: hues that vary over more (make-up, a tan, coloured light) are taken out
STEP = 1.0  # mm over which hues are differentiated
LEAST_COSINE = 0.35
SHARPNESS = 3  # power of the cosine with which views share a vertex
DARKEST = 0.02  # colours below have no hue
TOLERANCE = 2.5  # deviations at which a hue counts a quarter (Geman and McClure)
ROUNDS = 3
DARK = 0.15  # mean of the model's colour below which a vertex (inside of the lips, lashes) is not compared
#: Rows: log red - log green, log green - log blue.
HUES = np.array([[1.0, -1.0, 0.0], [0.0, 1.0, -1.0]])


class SkinColours:
    """The hues of a model on its skin; prepared once per model.

    Args:
        sought: (V,) vertices whose colours may be compared. mean: (V, 3) mm, the mean face.
    """

    def __init__(
        self,
        model: MorphableModel,
        face: FaceModel,
        sought: NDArray[np.bool_],
        mean: FloatArray,
        threads: int,
    ) -> None:
        self.face, self.threads = face, threads
        self.triangles = model.topology.triangles
        light = model.albedo_mean.mean(dim=1).numpy() > DARK
        self.ids = thinned(mean, sought & light, SPACING)
        self.mean = model.albedo_mean[self.ids].double().numpy()
        self.basis = model.albedo_basis[:, self.ids].permute(1, 2, 0).double().numpy()  # (N, 3, A)
        self.around = _around(mean[self.ids], SMOOTH)

    @property
    def plain(self) -> bool:
        """Whether the model's skin is of one hue all over, or has no other colours: nothing to compare."""
        every = np.ones(len(self.ids), bool)
        hues = self._local(np.log(np.maximum(self.mean, DARKEST)) @ HUES.T, every)
        return 0 in self.basis.shape or bool(hues.std(axis=0).max() < PLAIN)

    def equations(
        self, state: PersonState, number: int, views: CaptureViews, normals: FloatArray
    ) -> Equations:
        """How pose, identity and expression bring the model's hues over those of the photos.

        The model's colours are solved for as well, with their prior, and eliminated.

        Args:
            normals: (V, 3) of the vertices in the world.
        """
        placed = state.captures[number]
        vertices, unit = state.world(self.face, number), placed.scale
        points, outwards = vertices[self.ids], normals[self.ids]
        cosines = visible_cosines(views, vertices, normals, self.triangles, unit, self.threads)[:, self.ids]
        weights = np.where(cosines >= LEAST_COSINE, cosines, 0.0) ** SHARPNESS
        seen, known = hues_at(views, points, weights)
        head = self.face.vertices(state.identity, placed.expression, self.ids) + placed.offset[self.ids]
        moved = world_jacobian(self.face, state, number, self.ids, head)
        moving = np.zeros((len(points), len(HUES), moved.shape[2]))
        for direction in tangents(outwards):
            ahead, one = hues_at(views, points + STEP * unit * direction, weights)
            behind, other = hues_at(views, points - STEP * unit * direction, weights)
            known &= one & other
            slope = (ahead - behind) / (2 * STEP * unit)
            moving += slope[..., None] * np.einsum("ni,nij->nj", direction, moved)[:, None]
        size, count = moved.shape[2], self.basis.shape[2]
        seen = self._local(seen, known)
        colours = np.zeros(count)
        for _ in range(ROUNDS):
            albedo = np.maximum(self.mean + self.basis @ colours, DARKEST)
            slope = self._local(np.einsum("hc,nca->nha", HUES, self.basis / albedo[..., None]), known)
            rest = self._local(np.log(albedo) @ HUES.T, known) - seen
            weight = (1 + (rest / (TOLERANCE * NOISE)) ** 2) ** -2 * known[:, None] * SHARE
            rows = np.concatenate([moving, -slope], axis=2).reshape(-1, size + count)
            weighted = rows * (weight / NOISE**2).reshape(-1, 1)
            matrix, vector = weighted.T @ rows, weighted.T @ rest.ravel()
            factor = linalg.cho_factor(matrix[size:, size:] + np.eye(count))
            pull = linalg.cho_solve(factor, vector[size:] - colours)
            colours = colours + pull
        mixed = matrix[:size, size:]
        return Equations(
            matrix[:size, :size] - mixed @ linalg.cho_solve(factor, mixed.T), vector[:size] - mixed @ pull
        )

    def _local(self, values: FloatArray, known: NDArray[np.bool_]) -> FloatArray:
        """Values (N, ...) minus their mean around; 0 where unknown."""
        flat = np.where(known[:, None], values.reshape(len(values), -1), 0.0)
        mean = (self.around @ flat) / np.maximum(self.around @ known.astype(float), 1e-9)[:, None]
        return np.where(known[:, None], flat - mean, 0.0).reshape(values.shape)


def hues_at(
    views: CaptureViews, points: FloatArray, weights: FloatArray
) -> tuple[FloatArray, NDArray[np.bool_]]:
    """Hues (N, 2) of world points as the views see them, weighted (V, N); and which are known."""
    total, count = np.zeros((len(points), len(HUES))), np.zeros(len(points))
    for number, picture in enumerate(views.colours):
        camera = views.cameras[[number]]
        matrix = resizing(views.pictures[number].shape, picture.shape[:2]) @ camera.intrinsics[0]
        small = Pinholes(camera.rotations, camera.translations, matrix[None])
        pixels = np.nan_to_num(small.project(points)[0][0], nan=-1.0)
        use = (weights[number] > 0) & (pixels >= 0).all(axis=1)
        use &= (pixels <= np.array(picture.shape[1::-1]) - 1).all(axis=1)
        at = pixels[use][:, ::-1].T
        colour = np.stack(
            [map_coordinates(picture[..., c].astype(np.float32), at, order=1) / 255 for c in range(3)], 1
        )
        weight = weights[number, use] * (colour > DARKEST).all(axis=1)
        total[use] += weight[:, None] * (np.log(np.maximum(colour, DARKEST)) @ HUES.T)
        count[use] += weight
    return total / np.maximum(count, 1e-12)[:, None], count > 0


def _around(points: FloatArray, radius: float) -> sparse.csr_matrix:
    """(N, N) weights of a Gaussian mean."""
    tree = cKDTree(points)
    near = tree.sparse_distance_matrix(tree, 1.5 * radius, output_type="coo_matrix")
    weight = np.exp(-0.5 * (near.data / radius) ** 2)
    return sparse.csr_matrix((weight, (near.row, near.col)), shape=(len(points),) * 2)
