"""MGCNet's training triplets as a set of people: a triplet is a person with three photos.

<folder>/<subfolder>/<frame>/{source1,target,source2}.png      224 x 224
<folder>/<subfolder>/<frame>/{source1,target,source2}.txt      its 68 landmarks, as points of the user
"""

import logging
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from facemill.formats.landmarks import write_points_text
from facemill.formats.mgcnet import TripletName, read_split, read_triplet
from facemill.photos.listed import ListedPhoto
from facemill.photos.pictures import write_picture
from facemill.photos.plan import safe_key
from facemill.runtime.errors import FormatError
from facemill.runtime.files import atomic_folder
from facemill.runtime.tables import OK

ROLES = ("source1", "target", "source2")
SITTING = "triplet"
COLUMNS = ["subfolder", "frame", "flag", "person", "status", "reason"]
UNREADABLE = "unreadable"

logger = logging.getLogger(__name__)


def list_triplets(folder: str | Path, split: str) -> Iterator[ListedPhoto]:
    """The photos that `import_triplets` writes; only the list is read.

    A triplet that may be compared (flag 1 or 2) is a sitting; of one with flag 0 nobody knows the sitting.

    Raises:
        FormatError: the list is missing or is none.
    """
    for name, person in _people(folder, split).items():
        for role in ROLES:
            file = f"{_place(name)}/{role}.png"
            points = f"{_place(name)}/{role}.txt"
            sitting = SITTING if name.flag else ""
            yield ListedPhoto(f"{person}_{role}", file, points, person, sitting)


def import_triplets(folder: str | Path, split: str, output: str | Path) -> pd.DataFrame:
    """Write the views of all listed triplets below `output`; whole or not at all.

    A triplet that cannot be read leaves empty files, which end as rows, and its row here says why.

    Returns:
        One row per triplet with `COLUMNS`.
    Raises:
        FormatError: the list is missing or is none.
    """
    rows = []
    with atomic_folder(output) as partial:
        for name, person in _people(folder, split).items():
            place = partial / _place(name)
            place.mkdir(parents=True, exist_ok=True)  # another triplet may lie in a folder below
            status, reason = OK, ""
            try:
                triplet = read_triplet(folder, name)
            except FormatError as error:
                status, reason = UNREADABLE, error.sentence
                logger.warning("%s", reason)
                for role in ROLES:
                    (place / f"{role}.png").touch()
            else:
                for view, role in enumerate(ROLES):
                    write_picture(place / f"{role}.png", triplet.pictures[view])
                    write_points_text(place / f"{role}.txt", triplet.landmarks[view])
            rows.append((name.subfolder, name.frame, name.flag, person, status, reason))
    logger.info("%d triplets", len(rows))
    return pd.DataFrame(rows, columns=COLUMNS)


def _people(folder: str | Path, split: str) -> dict[TripletName, str]:
    """Each triplet of the list once, and the name of its person."""
    people: dict[TripletName, str] = {}
    used: set[str] = set()
    seen: set[tuple[str, str]] = set()
    for name in read_split(Path(folder, f"{split}.txt")):
        if (name.subfolder, name.frame) in seen:
            continue
        seen.add((name.subfolder, name.frame))
        person = safe_key(_place(name).replace("/", "_"))
        if person in used:  # a/b 1 beside a_b 1
            person = safe_key(_place(name))
        used.add(person)
        people[name] = person
    return people


def _place(name: TripletName) -> str:
    return name.frame if name.subfolder == "." else f"{name.subfolder}/{name.frame}"
