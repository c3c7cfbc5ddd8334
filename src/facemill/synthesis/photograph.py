"""One photograph of one person, with everything that is true about it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from facemill.geometry.camera import Camera, project
from facemill.models.contour import JAW_COUNT, SlidingContour
from facemill.models.topology import Topology
from facemill.synthesis.accessory import SKIN
from facemill.synthesis.background import random_background
from facemill.synthesis.camera import View
from facemill.synthesis.dense_landmarks import dense_landmark_vertices, dense_landmarks
from facemill.synthesis.layers import Layer, join
from facemill.synthesis.lighting import Lights, harmonics_of
from facemill.synthesis.render import SAMPLES, Drawing, depth_map, draw, seen_values
from facemill.synthesis.sensor import GAMMA, Sensor, decode_jpeg, develop, encode_jpeg, gains_of, linear_of

_HIDDEN_BY = 4.0  # millimetres by which something must lie before a landmark to hide it
_BEHIND = {"flash": (0.05, 0.5), "back": (1.2, 4.0), "lamp": (0.2, 1.2)}
_METERED = np.array([[0.0, 0.0, 1.0], [0.5, 0.0, 0.87], [-0.5, 0.0, 0.87], [0.0, 0.5, 0.87]])


@dataclass(frozen=True)
class Scene:
    """What stands before a camera.

    Attributes:
        layers: the head first, then whatever else can be seen or casts a shadow.
        view: camera and pose.
        lights: of the place.
        sensor: of the camera.
        lights_view: in whose posed head frame the lights are given, and where exposure and white balance were
            measured; None: `view`. Views of one sitting share it.
    """

    layers: Sequence[Layer]
    view: View
    lights: Lights
    sensor: Sensor
    lights_view: View | None = None


@dataclass(frozen=True)
class Photograph:
    """A photograph and its truth.

    Attributes:
        image: (H, W, 3) uint8, as the JPEG shows it; jpeg: the file.
        labels: (H, W) uint8, see `layers`; covered: (H, W) float32, share of each pixel in front.
        depth: (H, W) float32 millimetres at the centres of the pixels, infinite behind; or None.
        displacement: (H, W) float32 mm of the skin at the centres of the pixels, NaN elsewhere; or None.
        landmarks68: (68, 2) pixels; the jaw lies on the visible outline, as annotators mark it.
        visible68: (68,) bool, nothing lies before the landmark and it is inside the picture.
        dense_landmarks: (N, 2) pixels of `Landmarks.dense`, seen or not.
        camera: takes the head frame to pixels.
        lighting: (27,) Deep3DFaceRecon's harmonics nearest to the light, shadows not included.
    """

    image: NDArray[np.uint8]
    jpeg: bytes
    labels: NDArray[np.uint8]
    covered: NDArray[np.float32]
    depth: NDArray[np.float32] | None
    displacement: NDArray[np.float32] | None
    landmarks68: NDArray[np.float64]
    visible68: NDArray[np.bool_]
    dense_landmarks: NDArray[np.float32]
    camera: Camera
    lighting: NDArray[np.float64]


class Landmarks:
    """Projects the 68 landmarks of one topology.

    Args:
        topology: of the population.
        mean: (V, 3) the mean person, which the contour lines are ordered by.
    Attributes:
        dense: (N,) ids of the vertices that are dense landmarks.
    """

    def __init__(self, topology: Topology, mean: NDArray) -> None:
        self.dense = dense_landmark_vertices(topology, mean)
        self._ids = topology.landmarks68
        self._contour = SlidingContour(topology, torch.from_numpy(np.asarray(mean, dtype=np.float64)))

    def __call__(
        self, vertices: NDArray[np.float32], view: View
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Pixels (68, 2) and depths (68,) of the landmarks of vertices (V, 3)."""
        roll = torch.tensor([math.radians(view.roll)], dtype=torch.float64)
        candidates = self._contour.candidates
        needed = torch.from_numpy(vertices[candidates.reshape(-1).numpy()].astype(np.float64))
        pixels = project(needed, view.camera).pixels.reshape(1, *candidates.shape, 2)
        column = self._contour.choose(pixels, roll)[0]
        ids = torch.cat([candidates[torch.arange(JAW_COUNT), column], self._ids[JAW_COUNT:]])
        points = torch.from_numpy(vertices[ids.numpy()].astype(np.float64))
        projection = project(points, view.camera)
        return projection.pixels.numpy(), projection.depth.numpy()


def photograph(
    landmarks: Landmarks,
    scene: Scene,
    random: np.random.Generator,
    with_depth: bool = False,
    relief: NDArray[np.float32] | None = None,
) -> Photograph:
    """Take one photograph.

    Args:
        random: of the background and of the noise.
        with_depth: draw the depth map as well.
        relief: (n,) displacement of the head's vertices, mm, NaN where it is not told; draws it as well.
    """
    view, sensor = scene.view, scene.sensor
    head, whole = scene.layers[0], join(scene.layers)
    metered = scene.lights.diffuse(_METERED).mean(axis=0)
    # What stands behind is lit by much the same light.
    low, high = _BEHIND.get(scene.lights.kind, (0.5, 1.5))
    background = linear_of(random_background(random, view.size))
    background *= (random.uniform(low, high) * metered).astype(np.float32)
    drawing = draw(whole, view, scene.lights, background, scene.lights_view)
    points, depths = landmarks(head.vertices, view)
    turn = None if scene.lights_view is None else scene.lights_view.posed_from_head @ view.posed_from_head.T
    gains = gains_of(sensor, metered, _brightness(head))
    jpeg = encode_jpeg(develop(drawing.light, gains, sensor, random), sensor)
    return Photograph(
        image=decode_jpeg(jpeg),
        jpeg=jpeg,
        labels=drawing.labels,
        covered=drawing.covered,
        depth=depth_map(whole, view) if with_depth else None,
        displacement=None if relief is None else seen_values(whole, view, relief, SKIN),
        landmarks68=points,
        visible68=_visible(drawing, points, depths),
        dense_landmarks=dense_landmarks(head.vertices, landmarks.dense, view.camera),
        camera=view.camera,
        lighting=harmonics_of(scene.lights, gains, GAMMA, turn),
    )


def _brightness(head: Layer) -> float:
    """Mean linear lightness of the head's colours, from a spread of its vertices."""
    return float(linear_of(head.colours[:: max(1, len(head.colours) // 2000)]).mean())


def _visible(drawing: Drawing, points: NDArray, depths: NDArray) -> NDArray[np.bool_]:
    """Which points nothing hides: at one of the samples around, nothing lies much nearer."""
    height, width = drawing.labels.shape
    inside = ((points >= -0.5) & (points <= np.array([width, height]) - 0.5)).all(axis=1)
    places = np.rint((np.nan_to_num(points) + 0.5) * SAMPLES - 0.5).astype(int)
    rows, columns = drawing.nearest.shape
    farthest = np.zeros(len(points))
    for down in (-1, 0, 1):
        for right in (-1, 0, 1):
            row = np.clip(places[:, 1] + down, 0, rows - 1)
            column = np.clip(places[:, 0] + right, 0, columns - 1)
            farthest = np.maximum(farthest, drawing.nearest[row, column])
    return np.asarray(inside & (farthest >= depths - _HIDDEN_BY))
