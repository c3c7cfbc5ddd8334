"""Photo sets that nobody lists: the pictures of a data set whose predictions shall be our own.

The photo set of `evaluation.now.<name>` is called `now_<name>`, that of `evaluation.landmarks.<name>`
`landmarks_<name>`; evaluations of the same pictures share the set of the first of them. The data set may be
one that the same run makes: its settings say which pictures there will be.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from facemill.configuration import Configuration
from facemill.photos.listed import ListedPhoto, plan_listed_photos
from facemill.photos.plan import PhotoPlan, plan_photo_set
from facemill.runtime.errors import ConfigurationError
from facemill.synthesis.splits import members_of, person_name

KINDS = ("now", "landmarks")
COARSE = "coarse"
SYNTHETIC_SCANS = "synthesis.scans."


class DataSet(NamedTuple):
    """A data set in NoW's layout.

    folder: where it is, or will be. made_by: files of this run that are there when it is whole; none for a
    data set that lies on disk. synthetic: its name in `synthesis.scans`, or empty.
    """

    folder: str
    made_by: tuple[str, ...] = ()
    synthetic: str = ""


def data_set(settings: Configuration, name: str) -> DataSet:
    """What `evaluation.now.<name>.dataset` means: a folder, or `synthesis.scans.<name>` of this run.

    Raises:
        ConfigurationError: the configuration lists no such synthetic data set.
    """
    given = settings.evaluation.now[name].dataset
    if not given.startswith(SYNTHETIC_SCANS):
        return DataSet(str(Path(given).expanduser()))
    scans = given.removeprefix(SYNTHETIC_SCANS)
    if scans not in settings.synthesis.scans:
        raise ConfigurationError(
            f"evaluation.now.{name}.dataset: {given}",
            "synthesis.scans.<name> with a name that the configuration lists, or a folder",
            ", ".join(settings.synthesis.scans) or "no synthesis.scans in the configuration",
            f"list synthesis.scans.{scans}, or give the folder of a data set",
        )
    folder = f"results/{settings.run}/synthesis/scans/{scans}/synthesize_scans"
    return DataSet(folder, (f"{folder}/synthetic.json",), scans)


def set_name(settings: Configuration, kind: str, name: str) -> str:
    """The photo set whose faces are the predictions of `evaluation.<kind>.<name>`."""
    tasks = getattr(settings.evaluation, kind)
    first = next(
        other
        for other, task in tasks.items()
        if task.predictions == COARSE and _pictures(task) == _pictures(tasks[name])
    )
    return f"{kind}_{first}"


def set_names(settings: Configuration) -> list[str]:
    """All photo sets that evaluations ask for.

    Raises:
        ConfigurationError: a photo set of the configuration has the name of one of them.
    """
    names = [
        set_name(settings, kind, name)
        for kind in KINDS
        for name, task in getattr(settings.evaluation, kind).items()
        if task.predictions == COARSE
    ]
    taken = sorted(set(names) & set(settings.photos))
    if taken:
        raise ConfigurationError(
            f"photos.{taken[0]}",
            "another name: the pictures of evaluation." + taken[0].replace("_", ".", 1) + " are called so",
            taken[0],
            "rename the photo set",
        )
    return list(dict.fromkeys(names))


def folder_of(settings: Configuration, derived: str) -> str:
    """The folder that the files of a set are relative to."""
    kind, task = _task(settings, derived)
    if kind == "landmarks":
        return str(Path(task.folder).expanduser())
    return data_set(settings, derived.partition("_")[2]).folder


def made_by(settings: Configuration, derived: str) -> list[str]:
    """Files of this run that the pictures of a set wait for."""
    kind, _, name = derived.partition("_")
    return list(data_set(settings, name).made_by) if kind == "now" else []


def plan_derived_set(settings: Configuration, derived: str, place: Path) -> PhotoPlan:
    """Write or renew the plan of a set; only the main process does.

    Raises:
        FormatError: the data set is missing, of another layout, or has no pictures.
    """
    kind, task = _task(settings, derived)
    folder = folder_of(settings, derived)
    if kind == "landmarks":
        return plan_photo_set(derived, folder, place, task.shard_size)
    data = data_set(settings, derived.partition("_")[2])
    if data.synthetic:
        photos = _synthetic_pictures(settings.synthesis.scans[data.synthetic], task)
    else:
        photos = _now_pictures(Path(folder), task)
    return plan_listed_photos(derived, folder, photos, place, task.shard_size, bool(data.made_by))


def _now_pictures(folder: Path, task: Any) -> Iterator[ListedPhoto]:
    """The pictures and face boxes of a data set that lies on disk."""
    from facemill.formats.now import face_box_file, find_pictures, read_cases  # numpy: not in every job

    cases = read_cases(folder, task.image_list, task.challenges, need_scans=False)
    for case, path in find_pictures(folder, cases).items():
        box = face_box_file(folder, case)
        yield ListedPhoto(
            case.name.replace("/", "_"),
            os.path.relpath(path, folder),
            None if box is None else os.path.relpath(box, folder),
            case.subject,
        )


def _synthetic_pictures(scans: Any, task: Any) -> Iterator[ListedPhoto]:
    """The pictures and face boxes that `synthesize_scans` will write."""
    from facemill.formats.now_writer import cases_of

    for number in members_of(scans.split, scans.first, scans.identities):
        for case in cases_of(person_name(number), scans.photos_per_identity):
            if not task.challenges or case.challenge in task.challenges:
                yield ListedPhoto(
                    case.name.replace("/", "_"),
                    f"iphone_pictures/{case.picture}",
                    f"detected_face/{case.name}.npy",
                    case.subject,
                )


def _task(settings: Configuration, derived: str) -> tuple[str, Any]:
    kind, _, name = derived.partition("_")
    return kind, getattr(settings.evaluation, kind)[name]


def _pictures(task: Any) -> tuple[Any, ...]:
    """What tasks that share a photo set have in common."""
    return (task.dataset, task.image_list, task.challenges) if hasattr(task, "dataset") else (task.folder,)
