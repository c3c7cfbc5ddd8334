"""Photo sets that a list names, in any folders below one: the pictures of a benchmark."""

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from facemill.photos.plan import PhotoPlan, PlannedPhoto, free_key, safe_key, text_of_name, write_plan


class ListedPhoto(NamedTuple):
    """A photo that a list names.

    Attributes:
        key: wanted as the photo's key; made safe, and unique by a number where two are equal.
        file: relative to the folder of the set; it need not exist.
        points_file: the user's points, or a detector's box in a `.npy`, relative to the same folder, or None.
        person: whom the photo shows, and `sitting`: on which occasion; empty where nobody knows.
    """

    key: str
    file: str
    points_file: str | None = None
    person: str = ""
    sitting: str = ""


def plan_listed_photos(
    name: str,
    folder: str | Path,
    photos: Iterable[ListedPhoto],
    plan_folder: str | Path,
    shard_size: int,
    will_be_made: bool = False,
) -> PhotoPlan:
    """Write or renew the plan of the listed photos; no folder is searched.

    A photo that is missing stays in the plan: it ends as a row with a reason. Shards are as in
    `plan_photo_set`; photos of one person are in one shard.

    Args:
        name: of the set, for messages.
        folder: that `file` and `points_file` are relative to.
        will_be_made: a rule of the run makes the photos first: their state now does not count.
    """
    folder, plan_folder = Path(folder), Path(plan_folder)
    used: set[str] = set()
    planned = []
    for photo in photos:
        key = free_key(safe_key(photo.key), used)
        used.add(key)
        points = None if photo.points_file is None else text_of_name(photo.points_file)
        files = [file for file in (photo.file, photo.points_file) if file is not None]
        version = "" if will_be_made else " ".join(_version(folder / file) for file in files)
        person, sitting = safe_key(photo.person), safe_key(photo.sitting)
        entry = PlannedPhoto(key, text_of_name(photo.file), points, version, person, sitting)
        planned.append((person or key, entry))
    return write_plan(name, folder, plan_folder, shard_size, planned)


def _version(path: Path) -> str:
    try:
        state = path.stat()
    except OSError:
        return "missing"
    return f"{state.st_size}-{state.st_mtime_ns}"
