"""A small head-like model without files: an ellipsoid with a nose, smooth bases and 68 landmarks."""

import math

import numpy as np
import torch

from facemill.models.morphable import LinearModel
from facemill.models.topology import REGION_NAMES, Topology

ROWS, COLUMNS = 41, 81
LONGITUDES = np.linspace(-100, 100, COLUMNS)  # degrees; 0 is the middle of the face, negative is image left
LATITUDES = np.linspace(-60, 60, ROWS)


def vertex_at(longitude: float, latitude: float) -> int:
    """The vertex nearest to a longitude and a latitude in degrees."""
    return int(np.abs(LATITUDES - latitude).argmin()) * COLUMNS + int(np.abs(LONGITUDES - longitude).argmin())


def jaw_place(index: int) -> tuple[float, float]:
    """Longitude and latitude of jaw landmark 0..16."""
    longitude = -80 + 10 * index
    return longitude, -12 - 30 * math.cos(math.radians(longitude))


def places_of_atlas() -> np.ndarray:
    """(V, 2) longitude and latitude as an atlas, with a margin."""
    u, v = np.meshgrid(np.linspace(0.02, 0.98, COLUMNS), np.linspace(0.02, 0.98, ROWS))
    return np.stack((u, v), -1).reshape(-1, 2)


def make_toy_model() -> LinearModel:
    longitude, latitude = (np.deg2rad(a) for a in np.meshgrid(LONGITUDES, LATITUDES))
    x = 75 * np.sin(longitude) * np.cos(latitude)
    y = 110 * np.sin(latitude)
    z = 80 * np.cos(longitude) * np.cos(latitude) - 60
    z = z + 22 * np.exp(-((x / 14) ** 2) - ((y + 5) / 20) ** 2)
    mean = np.stack((x, y, z), -1).reshape(-1, 3)
    draw = np.random.default_rng(5)
    corner = np.arange(ROWS * COLUMNS).reshape(ROWS, COLUMNS)
    a, b, c, d = corner[:-1, :-1], corner[:-1, 1:], corner[1:, 1:], corner[1:, :-1]
    triangles = np.concatenate(
        (np.stack((a, b, c), -1).reshape(-1, 3), np.stack((a, c, d), -1).reshape(-1, 3))
    )
    places = [jaw_place(j) for j in range(17)]
    places += [(-42 + 8 * i, 22) for i in range(5)] + [(10 + 8 * i, 22) for i in range(5)]
    places += [(0, 14 - 6 * i) for i in range(4)] + [(-8 + 4 * i, -8) for i in range(5)]
    for side in (-1, 1):
        for angle in range(180, -180, -60):
            turn = math.radians(angle)
            places.append((side * 24 + 9 * math.cos(turn), 12 + 3 * math.sin(turn)))
    for count, width, height in ((12, 20, 6), (8, 14, 2)):
        for i in range(count):
            turn = math.pi - 2 * math.pi * i / count
            places.append((width * math.cos(turn), -22 + height * math.sin(turn)))
    candidates = []
    for j in range(17):
        longitude_of, latitude_of = places[j]
        if j == 8:
            line = [vertex_at(0, latitude_of + 3 - 3 * k) for k in range(5)]
        else:
            side = 1 if longitude_of > 0 else -1
            line = [vertex_at(side * degrees, latitude_of) for degrees in np.arange(5, 100, 2.5)]
        candidates.append(line + [-1] * (40 - len(line)))
    count = len(mean)
    regions = {name: torch.zeros(count, dtype=torch.bool) for name in REGION_NAMES}
    regions["face"][:] = True
    regions["skin"] = torch.from_numpy(np.abs(mean[:, 0]) < 50)
    landmarks = torch.tensor([vertex_at(*place) for place in places])
    topology = Topology(
        torch.from_numpy(triangles),
        torch.from_numpy(places_of_atlas()),
        torch.from_numpy(triangles),
        landmarks,
        torch.tensor(candidates),
        landmarks[[36, 39, 42, 45, 33, 48, 54]],
        regions,
    )

    def smooth(number: int, wavelength: float, size: float) -> torch.Tensor:
        waves = draw.normal(0, 2 * np.pi / wavelength, (number, 3, 3))
        phases = draw.uniform(0, 2 * np.pi, (number, 3))
        fields = np.sin(np.einsum("nck,vk->nvc", waves, mean) + phases[:, None])
        return torch.from_numpy(size * fields)

    lower = torch.from_numpy(1 / (1 + np.exp((mean[:, 1] + 15) / 4)))[:, None]
    return LinearModel(
        torch.from_numpy(mean),
        smooth(6, 150, 3.0),
        smooth(4, 120, 3.0) * lower,
        torch.full((count, 3), 0.6, dtype=torch.float64) * torch.tensor([1.0, 0.8, 0.7]),
        smooth(3, 60, 0.08),
        topology,
    )
