"""Division of a photo folder into shards: planned once by the workflow, read by every job.

The plan is a folder of small JSON files: `plan.json` and one manifest per shard. A file is rewritten only
when its content changes, so that only the shards whose photos changed are made again.
"""

import hashlib
import json
import logging
import os
import re
from collections import Counter
from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from facemill.photos.settings import IMAGE_SUFFIXES
from facemill.runtime.errors import ConfigurationError, FormatError
from facemill.runtime.files import write_bytes
from facemill.runtime.inputs import decoding, read_json_object, shown
from facemill.runtime.seeds import bucket_of

FORMAT = "facemill-photo-plan-1"
DETECTIONS = "detections"
MAX_NAME_BYTES = 180  # leaves room for suffixes within the 255 bytes of common file systems
SHARD_DIGITS = 4
MOST_SHARDS = 1_000_000

# Control and separator characters, undecodable bytes (surrogates), and Snakemake's wildcard braces.
_UNSAFE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff{}/\\]")
_PLAIN = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]{0,99}")  # most names: nothing to look at
_FURTHER_FACE = re.compile(r"(.+)_face\d+", re.DOTALL)

_PLANNED = "start the workflow again: it plans the photo sets when it is read"

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class PhotoPlan:
    """How one photo set is divided.

    Attributes:
        folder: folder of the plan's files, not of the photos.
        shards: names of all shards, `0000`, `0001`, …; some may be empty.
        count: number of photos.
        shard_by_photo: shard of the photos whose shard is not the hash of their key.
    """

    folder: Path
    shards: tuple[str, ...]
    count: int
    shard_by_photo: dict[str, str]

    def manifest(self, shard: str) -> Path:
        """File that lists the photos of `shard`."""
        return self.folder / f"{shard}.json"


class PlannedPhoto(NamedTuple):
    """One entry of the photo folder.

    Attributes:
        photo: unique key within the set; a safe path component.
        file: name within the photo folder, as `text_of_name` writes it.
        points_file: file with the user's facial points, or with a detector's box (`.npy`), relative to the
            photo folder, or None.
        version: changes whenever the photo or its points file changes.
        person: whom it shows, and `sitting`: on which occasion; empty where the set does not say.
        problem: why this entry of the folder holds no photo (an empty folder, …); else empty.
    """

    photo: str
    file: str
    points_file: str | None
    version: str
    person: str = ""
    sitting: str = ""
    problem: str = ""


def plan_photo_set(name: str, folder: str | Path, plan_folder: str | Path, shard_size: int) -> PhotoPlan:
    """List the photos of `folder` and write or renew the plan; the only function that lists the folder.

    Every entry with the suffix of a readable image becomes a photo, also a folder or a broken link: it ends
    as a row with a reason. The shard of a photo is a hash of its stem, so that a new photo disturbs one
    shard. The number of shards stays as it was first planned until shards hold more than twice
    `shard_size` photos on average, or `folder` or `shard_size` change.

    Args:
        name: name of the set, for messages.
        folder: folder with the photos, and with the users' points in `detections/<stem>.txt` or `<stem>.txt`.
        plan_folder: folder for the plan's files.
        shard_size: photos per shard at the first plan.
    Raises:
        ConfigurationError: `folder` is missing, is not a folder, cannot be listed, or holds no photo.
    """
    folder, plan_folder = Path(folder), Path(plan_folder)
    photos = _planned_photos(_list_folder(name, folder))
    return write_plan(name, folder, plan_folder, shard_size, photos)


def write_plan(
    name: str, folder: Path, plan_folder: Path, shard_size: int, photos: Sequence[tuple[str, PlannedPhoto]]
) -> PhotoPlan:
    """Write or renew the plan of `photos`: (text whose hash gives the shard, photo) in their order."""
    shards = _number_of_shards(name, folder, plan_folder, shard_size, len(photos))
    members: list[list[PlannedPhoto]] = [[] for _ in range(shards)]
    shard_by_photo: dict[str, str] = {}
    for stem, photo in photos:
        shard = bucket_of(stem, shards)
        members[shard].append(photo)
        if photo.photo != stem and bucket_of(photo.photo, shards) != shard:
            shard_by_photo[photo.photo] = _shard_name(shard)
    plan = PhotoPlan(plan_folder, tuple(map(_shard_name, range(shards))), len(photos), shard_by_photo)
    for shard_name, content in zip(plan.shards, members, strict=True):
        columns = {field: [photo[at] for photo in content] for at, field in enumerate(PlannedPhoto._fields)}
        _write_if_changed(plan.manifest(shard_name), {"format": FORMAT, "shard": shard_name, **columns})
    head = {
        "format": FORMAT,
        "photo_folder": text_of_name(str(folder)),
        "shard_size": shard_size,
        "shards": shards,
        "count": len(photos),
        "shard_by_photo": shard_by_photo,
    }
    _write_if_changed(plan_folder / "plan.json", head)
    _remove_surplus(plan)
    return plan


def read_plan(plan_folder: str | Path) -> PhotoPlan:
    """Read a plan that `plan_photo_set` wrote; the photo folder is not touched.

    Raises:
        FormatError: there is no plan, or it is not whole.
    """
    plan_folder = Path(plan_folder)
    head = _read_head(plan_folder / "plan.json", ("shards", "count", "shard_by_photo"))
    shards = tuple(map(_shard_name, range(head["shards"])))
    with decoding(plan_folder / "plan.json", "the shard of each photo", _PLANNED):
        return PhotoPlan(plan_folder, shards, head["count"], dict(head["shard_by_photo"]))


def read_manifest(path: str | Path) -> tuple[str, list[PlannedPhoto]]:
    """Name of the shard and its photos, in the order of their file names.

    Raises:
        FormatError: the file is missing or is not a manifest.
    """
    content = _read(Path(path), ("shard", *PlannedPhoto._fields))
    with decoding(path, "columns of texts, one for each field of a photo", _PLANNED):
        rows = list(zip(*(content[field] for field in PlannedPhoto._fields), strict=True))
        if not all(isinstance(value, str | None) for row in rows for value in row):
            raise ValueError("values that are no texts")
        return str(content["shard"]), [PlannedPhoto(*row) for row in rows]


def shard_of(plan: PhotoPlan, photo: str) -> str:
    """Shard that holds `photo`, or the further face `<photo>_face2` of a photo.

    Raises:
        ConfigurationError: the set has no such photo.
    """
    further = _FURTHER_FACE.fullmatch(photo)
    for key in (photo, *(further.groups() if further else ())):
        shard = plan.shard_by_photo.get(key) or _shard_name(bucket_of(key, len(plan.shards)))
        if any(planned.photo == key for planned in read_manifest(plan.manifest(shard))[1]):
            return shard
    raise ConfigurationError(
        f"photo {photo}",
        "the key of a photo, as in the column `photo` of faces.csv",
        f"no such key in the plan {plan.folder}",
        "give the file name without its suffix (with it, if two files differ only in the suffix)",
    )


def text_of_name(name: str) -> str:
    r"""A file name as text that UTF-8 can hold: undecodable bytes become `\xNN`, a backslash is doubled.

    >>> text_of_name("ann.jpg"), text_of_name("a\udcff.jpg")
    ('ann.jpg', 'a\\xff.jpg')
    """
    if name.isascii() and "\\" not in name:
        return name
    return os.fsencode(name).replace(b"\\", b"\\\\").decode("utf-8", "backslashreplace")


def name_of_text(text: str) -> str:
    r"""Inverse of `text_of_name`.

    >>> name_of_text(text_of_name("a\\x\udcff.jpg")) == "a\\x\udcff.jpg"
    True
    """
    plain = re.sub(
        rb"\\(\\|x([0-9a-f]{2}))",
        lambda match: bytes.fromhex(match[2].decode()) if match[2] else b"\\",
        text.encode("utf-8"),
    )
    return os.fsdecode(plain)


def safe_key(name: str) -> str:
    """`name` when it can be a path component of results, else a readable form of it with a hash.

    Unsafe are control characters, undecodable bytes, braces, slashes, blanks at either end, a dot in front
    and more than 180 bytes; spaces, %, #, dashes and all scripts of the world stay.

    >>> safe_key("Zoë 100% #1"), safe_key("line\\nbreak")
    ('Zoë 100% #1', 'line_break-f7a9b38e')
    """
    if _PLAIN.fullmatch(name):
        return name
    clean = _UNSAFE.sub("_", name).strip()
    clean = "_" + clean[1:] if clean.startswith(".") else clean
    short = clean.encode("utf-8")[:MAX_NAME_BYTES].decode("utf-8", "ignore")
    if short == name:
        return name
    digest = hashlib.blake2b(os.fsencode(name), digest_size=4).hexdigest()
    return f"{short.encode('utf-8')[: MAX_NAME_BYTES - 9].decode('utf-8', 'ignore')}-{digest}"


def _list_folder(name: str, folder: Path) -> dict[str, str]:
    """Version of each entry that matters: photos and points files, relative to `folder`."""
    key = f"photos.{name}.folder: {folder}"
    remedy = "give the folder that holds the photos"
    versions: dict[str, str] = {}
    others: Counter[str] = Counter()
    try:
        with os.scandir(folder) as listing:
            for entry in listing:
                suffix = split_suffix(entry.name)[1]
                if suffix in IMAGE_SUFFIXES or suffix == ".txt":
                    versions[entry.name] = entry_version(entry)
                else:
                    others[suffix or "no suffix"] += 1
    except FileNotFoundError as error:
        raise ConfigurationError(key, "a folder with photos", "nothing of this name", remedy) from error
    except NotADirectoryError as error:
        raise ConfigurationError(key, "a folder with photos", "a file", remedy) from error
    except OSError as error:
        raise ConfigurationError(key, "a folder with photos", error.strerror or str(error), remedy) from error
    if all(file.endswith(".txt") for file in map(str.lower, versions)):
        kinds = ", ".join(f"{count} x {suffix}" for suffix, count in others.most_common(5)) or "nothing"
        raise ConfigurationError(
            key,
            "at least one photo (.jpg, .png, .webp, .tif, …; subfolders are not searched)",
            f"no photo; other entries: {kinds}",
            "give the folder that holds the photos, or convert them to a listed format",
        )
    if others:
        logger.info("%s: not photos: %s", folder, dict(others))
    detections = folder / DETECTIONS
    if detections.is_dir():
        with os.scandir(detections) as listing:
            for entry in listing:
                if entry.name.lower().endswith(".txt"):
                    versions[f"{DETECTIONS}/{entry.name}"] = entry_version(entry)
    return versions


def split_suffix(name: str) -> tuple[str, str]:
    """Stem and lower-case suffix; a name that only starts with dots has no suffix."""
    stem, _, suffix = name.rpartition(".")
    return (stem, f".{suffix.lower()}") if stem.strip(".") else (name, "")


def entry_version(entry: os.DirEntry[str]) -> str:
    """Changes whenever the entry of a folder changes; a link's target counts."""
    try:
        state = entry.stat()
    except OSError:  # a broken link: what can change is the link itself
        state = entry.stat(follow_symlinks=False)
    return f"{state.st_size}-{state.st_mtime_ns}"


def _planned_photos(versions: dict[str, str]) -> list[tuple[str, PlannedPhoto]]:
    """Each photo with its safe stem, in the order of the file names."""
    files = sorted(file for file in versions if "/" not in file and not file.lower().endswith(".txt"))
    stems = [split_suffix(file)[0] for file in files]
    safe_stems = [safe_key(stem) for stem in stems]
    keys = unique_keys(safe_stems, [safe_key(file) for file in files])
    photos = []
    for file, stem, safe_stem, key in zip(files, stems, safe_stems, keys, strict=True):
        version, points = versions[file], None
        for candidate in (f"{DETECTIONS}/{stem}.txt", f"{stem}.txt"):
            if candidate in versions:
                version, points = f"{version} {versions[candidate]}", text_of_name(candidate)
                break
        photos.append((safe_stem, PlannedPhoto(key, text_of_name(file), points, version)))
    return photos


def unique_keys(wanted: Sequence[str], fallbacks: Sequence[str]) -> list[str]:
    """The wanted keys where they are unique; else the fallbacks; else the fallbacks with a number.

    A key that a further face of another photo could have (`<photo>_face2`) counts as taken.

    >>> unique_keys(["a", "b", "b"], ["a.jpg", "b.jpg", "b.png"])
    ['a', 'b.jpg', 'b.png']
    """
    counts = Counter(wanted)
    keys: dict[int, str] = {}
    used: set[str] = set()
    for place, key in enumerate(wanted):
        further = _FURTHER_FACE.fullmatch(key) if "_face" in key else None
        if counts[key] == 1 and not (further and further[1] in counts):
            keys[place] = key
            used.add(key)
    for place, key in enumerate(fallbacks):
        if place not in keys:
            keys[place] = free_key(key, used)
            used.add(keys[place])
    return [keys[place] for place in range(len(wanted))]


def free_key(key: str, used: Container[str]) -> str:
    """`key`, or the first of key-2, key-3, … that is not used."""
    number, free = 1, key
    while free in used:
        number += 1
        free = f"{key}-{number}"
    return free


def _number_of_shards(name: str, folder: Path, plan_folder: Path, shard_size: int, photos: int) -> int:
    fresh = -(-photos // shard_size)
    if not (plan_folder / "plan.json").is_file():
        return fresh
    try:
        old = _read_head(plan_folder / "plan.json", ("photo_folder", "shard_size", "shards"))
    except FormatError as error:
        logger.warning("photo set %s is planned anew: %s", name, error)
        return fresh
    if (old["photo_folder"], old["shard_size"]) != (text_of_name(str(folder)), shard_size):
        logger.warning("photo set %s is planned anew: its folder or shard_size changed", name)
        return fresh
    if photos > 2 * shard_size * old["shards"]:
        logger.warning("photo set %s is planned anew: too many photos for %d shards", name, old["shards"])
        return fresh
    return int(old["shards"])


def _shard_name(number: int) -> str:
    return f"{number:0{SHARD_DIGITS}d}"


def _remove_surplus(plan: PhotoPlan) -> None:
    keep = {"plan.json", *(plan.manifest(shard).name for shard in plan.shards)}
    for path in plan.folder.glob("[0-9]*.json"):
        if path.name not in keep:
            path.unlink()


def _write_if_changed(path: Path, value: Any) -> None:
    content = (json.dumps(value, ensure_ascii=False) + "\n").encode("utf-8")
    try:
        same = path.read_bytes() == content
    except FileNotFoundError:
        same = False
    if not same:
        write_bytes(path, content)


def _read_head(path: Path, required: Iterable[str]) -> dict[str, Any]:
    head = _read(path, required)
    if type(head["shards"]) is not int or not 0 <= head["shards"] <= MOST_SHARDS:
        raise FormatError(f"{path}: shards", "how many there are", shown(head["shards"]), _PLANNED)
    return head


def _read(path: Path, required: Iterable[str]) -> dict[str, Any]:
    return read_json_object(path, f"a photo plan, JSON of format {FORMAT}", _PLANNED, tuple(required), FORMAT)
