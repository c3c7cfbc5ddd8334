"""Photo sets that nobody lists: the pictures of a data set whose predictions shall be our own.

The photo set of `evaluation.now.<name>` is called `now_<name>`, that of `evaluation.landmarks.<name>`
`landmarks_<name>`; evaluations of the same pictures share the set of the first of them.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from facemill.configuration import Configuration
from facemill.photos.listed import ListedPhoto, plan_listed_photos
from facemill.photos.plan import PhotoPlan, plan_photo_set
from facemill.runtime.errors import ConfigurationError

KINDS = ("now", "landmarks")
COARSE = "coarse"


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
    return str(Path(task.folder if kind == "landmarks" else task.dataset).expanduser())


def plan_derived_set(settings: Configuration, derived: str, place: Path) -> PhotoPlan:
    """Write or renew the plan of a set; only the main process does.

    Raises:
        FormatError: the data set is missing, of another layout, or has no pictures.
    """
    kind, task = _task(settings, derived)
    folder = folder_of(settings, derived)
    if kind == "landmarks":
        return plan_photo_set(derived, folder, place, task.shard_size)
    return plan_listed_photos(derived, folder, _now_pictures(Path(folder), task), place, task.shard_size)


def _now_pictures(folder: Path, task: Any) -> Iterator[ListedPhoto]:
    """The pictures and face boxes of a data set that lies on disk."""
    from facemill.formats.now import face_box_file, find_pictures, read_cases  # numpy: not in every job

    cases = read_cases(folder, task.image_list, task.challenges)
    for case, path in find_pictures(folder, cases).items():
        box = face_box_file(folder, case)
        yield ListedPhoto(
            f"{case.subject}_{case.challenge}_{case.image}",
            os.path.relpath(path, folder),
            None if box is None else os.path.relpath(box, folder),
        )


def _task(settings: Configuration, derived: str) -> tuple[str, Any]:
    kind, _, name = derived.partition("_")
    return kind, getattr(settings.evaluation, kind)[name]


def _pictures(task: Any) -> tuple[Any, ...]:
    """What tasks that share a photo set have in common."""
    return (task.dataset, task.image_list, task.challenges) if hasattr(task, "dataset") else (task.folder,)
