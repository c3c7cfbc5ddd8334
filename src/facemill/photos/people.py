"""Photo sets with a folder per person, and in it, where wanted, a folder per sitting.

    <folder>/<person>/<photo>.jpg
    <folder>/<person>/<sitting>/<photo>.jpg

A sitting is one occasion: the same day, hair, clothes and light. What lies elsewhere is not left out in
silence: a photo beside the folders of people is a photo of nobody (person ""), and an entry that holds no
photo (an empty folder, one that cannot be read, a link that leads nowhere or in a circle, a folder inside a
sitting) is a row that says so.
"""

import errno
import logging
import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from facemill.photos.plan import (
    DETECTIONS,
    PhotoPlan,
    PlannedPhoto,
    entry_version,
    free_key,
    read_manifest,
    safe_key,
    split_suffix,
    text_of_name,
    unique_keys,
    write_plan,
)
from facemill.photos.settings import IMAGE_SUFFIXES
from facemill.runtime.errors import ConfigurationError
from facemill.runtime.seeds import bucket_of

RESERVED = (
    "import_triplets",
    "group_people",
    "export_triplets",
    "reconstruct_person",
    "export_person",
    "train_image_set",
)
JUNK = ("__MACOSX", "@eaDir", "Thumbs.db")  # what systems leave in folders of photos, besides hidden files

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Entry:
    """A photo, or what is there in its place; `place` is relative to the folder of the set.

    `name` is empty for the folder of a person or sitting itself.
    """

    person: str
    sitting: str
    name: str
    version: str
    points_file: str | None = None
    problem: str = ""

    @property
    def place(self) -> str:
        return "/".join(part for part in (self.person, self.sitting, self.name) if part)


@dataclass
class _Listing:
    """What one folder holds: photos and points files with their versions, folders, and other entries."""

    photos: dict[str, str] = field(default_factory=dict)
    points: dict[str, str] = field(default_factory=dict)
    folders: list[str] = field(default_factory=list)
    problems: dict[str, str] = field(default_factory=dict)
    others: int = 0


def plan_people(name: str, folder: str | Path, plan_folder: str | Path, shard_size: int) -> PhotoPlan:
    """List the people below `folder` and write or renew the plan; a shard holds whole people.

    Keys are `<person>_<photo>` or `<person>_<sitting>_<photo>` without the suffix, made safe and unique as in
    `plan_photo_set`; of two people whose safe names are equal the second gets a number. The shard is a hash
    of the person, that of a photo of nobody a hash of its key.

    Args:
        name: of the set, for messages.
        folder: of the set.
        plan_folder: folder for the plan's files.
        shard_size: photos per shard at the first plan; people with more photos stay together.
    Raises:
        ConfigurationError: `folder` is missing, is no folder, cannot be listed, or holds no person's photo.
    """
    folder, plan_folder = Path(folder), Path(plan_folder)
    entries = _find_entries(name, folder)
    names = _safe_people({entry.person for entry in entries})
    wanted, fallbacks = [], []
    for entry in entries:
        stem = entry.name if entry.problem else split_suffix(entry.name)[0]
        parts = [names[entry.person], entry.sitting]
        wanted.append(safe_key("_".join(part for part in (*parts, stem) if part)))
        fallbacks.append(safe_key("_".join(part for part in (*parts, entry.name) if part)))
    photos = []
    for entry, key in zip(entries, unique_keys(wanted, fallbacks), strict=True):
        person, sitting = names[entry.person], safe_key(entry.sitting)
        points = None if entry.points_file is None else text_of_name(entry.points_file)
        file = text_of_name(entry.place)
        planned = PlannedPhoto(key, file, points, entry.version, person, sitting, entry.problem)
        photos.append((person or key, planned))
    return write_plan(name, folder, plan_folder, shard_size, photos)


def people_of(plan: PhotoPlan, shard: str) -> list[str]:
    """Names of the people of a shard, in the order of their photos; nobody ("") does not count."""
    _, photos = read_manifest(plan.manifest(shard))
    return list(dict.fromkeys(photo.person for photo in photos if photo.person))


def shard_of_person(plan: PhotoPlan, person: str) -> str:
    """Shard that holds the photos of `person`.

    Raises:
        ConfigurationError: the set has no such person.
    """
    shard = plan.shards[bucket_of(person, len(plan.shards))]
    if person not in people_of(plan, shard):
        raise ConfigurationError(
            f"person {person}",
            "the name of a person, as in the column `person` of faces.csv",
            f"no such person in the plan {plan.folder}",
            "give the name of the person's folder",
        )
    return shard


def _find_entries(name: str, folder: Path) -> list[_Entry]:
    """Everything that becomes a row, in the order of person, sitting and file name."""
    key = f"people.{name}.folder: {folder}"
    remedy = "give the folder that holds a folder of photos per person"
    top = _list(folder, frozenset())
    if isinstance(top, OSError):
        found = {errno.ENOENT: "nothing of this name", errno.ENOTDIR: "a file"}
        words = found.get(top.errno or 0, top.strerror or str(top))
        raise ConfigurationError(key, "a folder with a folder per person", words, remedy)
    above = frozenset({os.path.realpath(folder)})
    entries = list(_photos_of(top, folder, "", ""))
    loose = len(entries)
    for person in top.folders:
        entries += _person_entries(folder, person, above)
    entries += [_Entry(entry, "", "", "", problem=why) for entry, why in top.problems.items()]
    if not any(entry.person and not entry.problem for entry in entries):
        empty = ", ".join(top.folders[:5]) or "none"
        raise ConfigurationError(
            key,
            "at least one photo (.jpg, .png, .webp, …) in the folder of a person",
            f"{loose} photos beside the folders; {len(top.folders)} folders without photos: {empty}",
            "put the photos of each person into a folder of their own, or list photos of strangers in photos",
        )
    if loose:
        logger.warning(
            "people set %s: %d photos lie beside the folders of people and are nobody's: %s",
            name,
            loose,
            ", ".join(text_of_name(entry.name) for entry in entries[:5]),
        )
    for entry in entries:
        if entry.problem:
            logger.warning("people set %s: %s: %s", name, text_of_name(entry.place), entry.problem)
    return sorted(entries, key=lambda entry: (entry.person, entry.sitting, entry.name))


def _person_entries(folder: Path, person: str, above: frozenset[str]) -> list[_Entry]:
    """Photos of a person and of the sittings inside; one entry with a problem where there are none."""
    listing = _list(folder / person, above)
    if isinstance(listing, OSError):
        return [_Entry(person, "", "", "", problem=_words(listing))]
    inside = above | {os.path.realpath(folder / person)}
    entries = list(_photos_of(listing, folder, person, ""))
    entries += [_Entry(person, "", entry, "", problem=why) for entry, why in listing.problems.items()]
    for sitting in listing.folders:
        inner = _list(folder / person / sitting, inside)
        if isinstance(inner, OSError):
            entries.append(_Entry(person, sitting, "", "", problem=_words(inner)))
            continue
        found = list(_photos_of(inner, folder, person, sitting))
        problems = dict.fromkeys(inner.folders, "a folder inside a sitting: its photos are not searched")
        problems.update(inner.problems)
        found += [_Entry(person, sitting, entry, "", problem=why) for entry, why in problems.items()]
        entries += found or [_Entry(person, sitting, "", "", problem="the folder holds no photo")]
    return entries or [_Entry(person, "", "", "", problem="the folder holds no photo")]


def _photos_of(listing: _Listing, folder: Path, person: str, sitting: str) -> Iterable[_Entry]:
    """The photos of one folder with their points files, beside them or in its `detections/`."""
    place = "/".join(part for part in (person, sitting) if part)
    for photo, version in listing.photos.items():
        stem, points = split_suffix(photo)[0], None
        for candidate in (f"{DETECTIONS}/{stem}.txt", f"{stem}.txt"):
            if candidate in listing.points:
                version = f"{version} {listing.points[candidate]}"
                points = f"{place}/{candidate}" if place else candidate
                break
        yield _Entry(person, sitting, photo, version, points)


def _list(folder: Path, above: frozenset[str]) -> _Listing | OSError:
    """What a folder holds, names in order; the error that keeps it from being listed.

    Args:
        above: real paths of the folders around it: a link to one of them leads in a circle.
    """
    if os.path.realpath(folder) in above:
        return OSError(errno.ELOOP, "the link leads back to a folder around it")
    listing = _Listing()
    try:
        with os.scandir(folder) as scan:
            entries = sorted(scan, key=lambda entry: entry.name)
        for entry in entries:
            _sort_in(entry, listing)
    except OSError as error:
        return error
    if DETECTIONS in listing.folders:
        listing.folders.remove(DETECTIONS)
        _add_points(folder / DETECTIONS, listing)
    if listing.others:
        logger.info("%s: %d entries are no photos", folder, listing.others)
    return listing


def _add_points(folder: Path, listing: _Listing) -> None:
    try:
        with os.scandir(folder) as scan:
            for entry in scan:
                if entry.name.lower().endswith(".txt"):
                    listing.points[f"{DETECTIONS}/{entry.name}"] = entry_version(entry)
    except OSError as error:
        listing.problems[DETECTIONS] = _words(error)


def _sort_in(entry: os.DirEntry[str], listing: _Listing) -> None:
    suffix = split_suffix(entry.name)[1]
    if entry.name.startswith(".") or entry.name in JUNK:
        listing.others += 1
    elif suffix in IMAGE_SUFFIXES and not _is_folder(entry):
        listing.photos[entry.name] = entry_version(entry)
    elif suffix == ".txt":
        listing.points[entry.name] = entry_version(entry)
    elif _is_folder(entry):
        listing.folders.append(entry.name)
    else:
        listing.others += 1
        try:
            entry.stat()
        except OSError as error:
            listing.problems[entry.name] = _words(error)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads in a circle
        return False


def _words(error: OSError) -> str:
    known = {
        errno.ENOENT: "a symbolic link that leads nowhere",
        errno.ELOOP: "a symbolic link that leads in a circle",
        errno.EACCES: "no permission to read the folder",
    }
    return known.get(error.errno or 0, f"the folder cannot be read: {error.strerror or error}")


def _safe_people(people: set[str]) -> dict[str, str]:
    """Safe and unique name of each person: a folder of results is called so."""
    names = {"": ""}
    used = set(RESERVED)
    safe_first = sorted(people - {""}, key=lambda person: (safe_key(person) != person, person))
    for person in safe_first:
        names[person] = free_key(safe_key(person), used)
        used.add(names[person])
    return names
