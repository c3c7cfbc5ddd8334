"""Calibrated captures of synthetic people, in FaceScape's own layout and with exact truth beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from facemill.formats.facescape import EXPRESSIONS, CaptureView, write_capture_parameters
from facemill.formats.meshes import write_ply
from facemill.runtime.files import atomic_folder, save_arrays, write_bytes, write_json
from facemill.synthesis.exposure import Highlights, Sensor, Sitter, develop, expose, jpeg_bytes
from facemill.synthesis.expressions import random_expression
from facemill.synthesis.identities import Person, Population
from facemill.synthesis.likeness import Likeness, likeness_of, true_scan
from facemill.synthesis.rig import RigCamera, misjudged, moved_rig, random_motion, random_rig
from facemill.synthesis.settings import CaptureTask

TRUTH_ARRAYS = "truth.npz"
TRUTH_TEXT = "truth.json"
BELOW = 25.0  # mm behind the landmarks: what the cameras look at
GAIN, COLOUR_GAIN = 0.05, 0.02  # relative standard deviations between views
CALIBRATION_ERROR = 0.3  # px, root mean square over the face
DEFOCUS = 1.2  # px at the corners


@dataclass(frozen=True)
class Capture:
    """One capture in its world, mm.

    photos: JPEG files, one per view. rig: the true cameras; calibrated: what a user is told of them.
    likeness: in the head frame; rotation (3, 3) and shift (3,): world from head. landmarks: (68, 3) world.
    gains: (views, 3) of red, green and blue.
    """

    photos: list[bytes]
    rig: list[RigCamera]
    calibrated: list[RigCamera]
    likeness: Likeness
    middle: NDArray[np.float64]
    rotation: NDArray[np.float64]
    shift: NDArray[np.float64]
    landmarks: NDArray[np.float64]
    gains: NDArray[np.float64]


def synthesize_captures(
    population: Population,
    person: Person,
    task: CaptureTask,
    images: str | Path,
    meshes: str | Path,
    truth: str | Path,
) -> None:
    """Write all captures of one person; each of the three folders appears whole or not at all.

    Args:
        images: becomes `<images>/<expression>/<view>.jpg` and `params.json`.
        meshes: becomes `<meshes>/<expression>.ply`, what cameras can see, in the world of the cameras.
        truth: becomes `<truth>/<expression>/`: `params.json` with the exact cameras, `truth.npz` with
            landmarks, strengths and motion, `truth.json` with what was done to the photos.
    """
    with (
        atomic_folder(images) as new_images,
        atomic_folder(meshes) as new_meshes,
        atomic_folder(truth) as new_truth,
    ):
        for name in task.expressions:
            expression = next(full for full in EXPRESSIONS if full.partition("_")[2] == name)
            strengths = random_expression(person.random("capture", name), name)
            capture = take_capture(population, person, strengths, task, person.random("studio", name))
            folder = new_images / expression
            for number, photo in enumerate(capture.photos):
                write_bytes(folder / f"{number}.jpg", photo)
            write_capture_parameters(folder, _views(capture.calibrated, folder))
            mesh = true_scan(capture.likeness, capture.middle)
            write_ply(
                new_meshes / f"{expression}.ply",
                mesh.with_vertices(mesh.vertices @ capture.rotation.T + capture.shift),
            )
            _write_truth(new_truth / expression, capture, strengths, person, task)


def take_capture(
    population: Population,
    person: Person,
    strengths: NDArray,
    task: CaptureTask,
    random: np.random.Generator,
) -> Capture:
    """Photograph a person with an expression (52,) from all cameras of a rig of their own."""
    likeness = likeness_of(population, person, strengths, task.level)
    ids = population.topology.landmarks68.numpy()
    middle = likeness.vertices[population.topology.now_landmarks.numpy()].mean(axis=0) - [0.0, 0.0, BELOW]
    rotation, shift = random_motion(random)
    rig = random_rig(random, task.views, (task.height, task.width), middle)
    rig = moved_rig(rig, rotation, shift)
    vertices = likeness.vertices @ rotation.T + shift
    sitter = Sitter(
        vertices,
        (likeness.normals @ rotation.T).astype(np.float32),
        likeness.triangles,
        likeness.diffuse,
        likeness.gloss,
    )
    hard = task.difficulty == "hard"
    highlights = _highlights(random, rotation, shift) if hard else None
    backdrop = random.uniform(0.06, 0.2) * random.uniform(0.9, 1.1, 3)
    sensors = [_sensor(random, hard) for _ in rig]
    face = vertices[population.finer(task.level).face][::50]
    calibrated = [misjudged(random, one, face, CALIBRATION_ERROR) for one in rig] if hard else rig
    photos = []
    for view, sensor in zip(rig, sensors, strict=True):
        exposure = expose(sitter, view, backdrop, highlights)
        picture = develop(exposure.image, sensor, random)
        photos.append(jpeg_bytes(picture, sensor.quality, sensor.coarse_colours))
    return Capture(
        photos,
        rig,
        calibrated,
        likeness,
        middle,
        rotation,
        shift,
        vertices[ids],
        np.array([sensor.gains for sensor in sensors]),
    )


def _sensor(random: np.random.Generator, hard: bool) -> Sensor:
    if not hard:
        return Sensor()
    gains = np.exp(random.normal(0, GAIN)) * np.exp(random.normal(0, COLOUR_GAIN, 3))
    quality = int(random.integers(86, 94))
    return Sensor((float(gains[0]), float(gains[1]), float(gains[2])), DEFOCUS, 1 / 255, quality, True)


def _highlights(random: np.random.Generator, rotation: NDArray, shift: NDArray) -> Highlights:
    """Two lamps before the face, one to each side, one soft and one small."""
    azimuth = np.radians([random.uniform(-55, -15), random.uniform(15, 55)])
    height = np.radians(random.uniform(5, 45, 2))
    towards = np.stack(
        [np.sin(azimuth) * np.cos(height), np.sin(height), np.cos(azimuth) * np.cos(height)], axis=1
    )
    places = towards * random.uniform(900, 1600, (2, 1))
    return Highlights(
        places @ rotation.T + shift,
        random.uniform([0.12, 0.18], [0.22, 0.32]),
        random.uniform([14.0, 45.0], [24.0, 80.0]),
    )


def _views(rig: Sequence[RigCamera], folder: Path) -> list[CaptureView]:
    return [
        CaptureView(number, folder / f"{number}.jpg", one.camera, one.lens, one.size, True)
        for number, one in enumerate(rig)
    ]


def _write_truth(
    folder: Path, capture: Capture, strengths: NDArray, person: Person, task: CaptureTask
) -> None:
    write_capture_parameters(folder, _views(capture.rig, folder))
    save_arrays(
        folder / TRUTH_ARRAYS,
        {
            "landmarks68": capture.landmarks,
            "strengths": strengths,
            "world_from_head_rotation": capture.rotation,
            "world_from_head_translation": capture.shift,
            "gains": capture.gains,
            "base_shape": person.base_shape,
        },
    )
    write_json(
        folder / TRUTH_TEXT,
        {
            "person": person.name,
            "split": person.split,
            "difficulty": task.difficulty,
            "calibration_error_px": CALIBRATION_ERROR if task.difficulty == "hard" else 0.0,
            "defocus_px": DEFOCUS if task.difficulty == "hard" else 0.0,
            "millimetres": 1.0,
        },
    )
