"""A face given by a formula, so that tests know its surface, its landmarks and its folders."""

from pathlib import Path

import numpy as np

from facemill.formats.landmarks import PickedPoints, write_picked_points
from facemill.formats.meshes import write_obj
from facemill.geometry.mesh import Mesh

EYES_AND_MOUTH = np.array(
    [[-45.0, 30.0], [-16.0, 29.0], [16.0, 29.0], [45.0, 30.0], [0.0, -14.0], [-25.0, -42.0], [25.0, -42.0]]
)


def height(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """z, mm: an oval with a nose, brows and lips, not symmetric."""
    oval = 55 * np.sqrt(np.clip(1.6 - (x / 80) ** 2 - 0.7 * (y / 100) ** 2, 0.02, None))
    nose = 20 * np.exp(-((x / 13) ** 2) - ((y + 4) / 22) ** 2)
    brows = 3 * np.exp(-(((np.abs(x) - 28) / 20) ** 2) - ((y - 42) / 9) ** 2)
    lips = 4 * np.exp(-((x / 22) ** 2) - ((y + 42) / 8) ** 2)
    return oval + nose + brows + lips + 1.5 * np.sin(x / 11 + 1) * np.cos(y / 13)


def face_grid(columns: int, rows: int) -> Mesh:
    """The face as a grid of columns x rows vertices, 150 x 190 mm; 2 (columns - 1)(rows - 1) triangles."""
    x, y = np.meshgrid(np.linspace(-75, 75, columns), np.linspace(-95, 95, rows))
    vertices = np.stack([x, y, height(x, y)], axis=-1).reshape(-1, 3)
    index = np.arange(columns * rows).reshape(rows, columns)
    a, b, c, d = (part.ravel() for part in (index[:-1, :-1], index[:-1, 1:], index[1:, :-1], index[1:, 1:]))
    return Mesh(vertices, np.concatenate([np.stack([a, b, d], 1), np.stack([a, d, c], 1)]))


def face_landmarks() -> np.ndarray:
    """The seven landmarks, (7, 3) mm."""
    x, y = EYES_AND_MOUTH.T
    return np.stack([x, y, height(x, y)], axis=1)


def write_subject(dataset: Path, subject: str, mesh: Mesh, landmarks: np.ndarray) -> None:
    """A scan and its landmarks in NoW's layout."""
    write_obj(dataset / "scans" / subject / "head.obj", mesh)
    names = [str(number) for number in range(len(landmarks))]
    folder = dataset / "scans_lmks_onlypp" / subject
    write_picked_points(folder / "head_picked_points.pp", PickedPoints(names, landmarks))


def write_prediction(
    folder: Path, case: str, mesh: Mesh, landmarks: np.ndarray, suffix: str = ".txt"
) -> None:
    """A prediction in NoW's layout."""
    write_obj(folder / f"{case}.obj", mesh)
    if suffix == ".npy":
        np.save(folder / f"{case}.npy", landmarks)
    else:
        np.savetxt(folder / f"{case}.txt", landmarks)


def write_list(dataset: Path, cases: list[str], kind: str = "validation") -> None:
    """The image list of the data set."""
    dataset.mkdir(parents=True, exist_ok=True)
    lines = "".join(f"{case}.jpg\n" for case in cases)
    (dataset / f"imagepaths{kind}.txt").write_text(lines)
