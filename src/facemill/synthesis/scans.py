"""Scans of synthetic people and photographs of them, in the layout of the NoW benchmark."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from facemill.formats.now_writer import (
    write_face_box,
    write_picture,
    write_roots,
    write_scan,
    write_scan_landmarks,
)
from facemill.runtime.files import atomic_folder, write_text
from facemill.runtime.tables import read_csv
from facemill.synthesis.body import Studio
from facemill.synthesis.identities import Person, Population
from facemill.synthesis.scan_people import scan_person
from facemill.synthesis.scan_photos import ScanPhotographer
from facemill.synthesis.scanner import ScannerSettings
from facemill.synthesis.settings import ScanTask, SynthesizeScansSettings

GENERATOR = "facemill synthesize_scans"


def synthesize_scans(
    population: Population,
    person: Person,
    task: ScanTask,
    settings: SynthesizeScansSettings,
    scans: str | Path,
    landmarks: str | Path,
    pictures: str | Path,
    boxes: str | Path,
    truth: str | Path,
) -> None:
    """Write all files of one person; each of the four folders appears whole or not at all.

    Args:
        scans, landmarks, pictures, boxes: the person's own folders, `<dataset>/scans/<person>` and so on.
        truth: table (.csv) of what is known about the photographs, one row each.
    """
    scanner = ScannerSettings(settings.voxel, settings.noise, settings.warp)
    scanned = scan_person(population, person, scanner)
    photographer = ScanPhotographer(Studio(population), task, settings)
    with (
        atomic_folder(scans) as new_scans,
        atomic_folder(landmarks) as new_landmarks,
        atomic_folder(pictures) as new_pictures,
        atomic_folder(boxes) as new_boxes,
    ):
        write_scan(new_scans, person.name, scanned.mesh)
        write_scan_landmarks(new_landmarks, person.name, scanned.landmarks)
        rows = []
        for shot in photographer.photographs(person):
            write_picture(new_pictures, shot.case, shot.jpeg)
            write_face_box(new_boxes, shot.case, shot.box)
            rows.append(shot.truth)
    write_text(truth, pd.DataFrame(rows).to_csv(index=False, float_format="%.6g", lineterminator="\n"))


def list_scans(tables: Sequence[str | Path], dataset: str | Path, task: ScanTask, seed: int) -> None:
    """Write the files in the root of the data set from the truth of its people.

    The list is that of the validation pictures, whose scans everybody may see.
    """
    expected, remedy = "the truth of a person", "make it again with the rule synthesize_scans"
    found = [read_csv(path, expected, remedy, keep_default_na=False) for path in tables]
    truth = pd.concat(found, ignore_index=True)
    write_roots(
        dataset,
        "validation",
        truth,
        {
            "generator": GENERATOR,
            "seed": seed,
            "split": task.split,
            "first": task.first,
            "identities": task.identities,
            "photos_per_identity": task.photos_per_identity,
        },
    )
