"""Sets of people that the configuration lists: several photos of each, in folders or made by the run.

A people set goes through the photo rules and `reconstruct_coarse` as a photo set of the same name.
`photos: synthesis.photos.<name>` is planned from that data set's settings, before it is made;
`mgcnet: <folder>` from the list of triplets, before `import_triplets` unpacks them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from facemill.configuration import Configuration
from facemill.photos.listed import ListedPhoto, plan_listed_photos
from facemill.photos.people import plan_people
from facemill.photos.plan import PhotoPlan
from facemill.runtime.errors import ConfigurationError
from facemill.synthesis.splits import members_of, person_name

SYNTHETIC_PHOTOS = "synthesis.photos."
RULE_FOLDERS = ("train_image_set",)  # beside the folders of sets in results/<run>/people/


def check_people(settings: Configuration, derived: list[str]) -> None:
    """Check what the settings of people say of other parts of the configuration.

    Args:
        derived: names of the photo sets that evaluations ask for.
    Raises:
        ConfigurationError: a name that another photo set has, or synthetic photos that are not listed, or
            are not portraits.
    """
    for name, people in settings.people.items():
        taken = {
            **dict.fromkeys(derived, "an evaluation's pictures"),
            **dict.fromkeys(settings.photos, "photos"),
        }
        taken |= dict.fromkeys(RULE_FOLDERS, "a rule")
        if name in taken:
            raise ConfigurationError(
                f"people.{name}",
                "a name that no other set of photos has: both go through the same rules",
                f"{name}, which {taken[name]} has, too",
                "rename the set of people",
            )
        if people.photos is not None:
            _check_synthetic(settings, name, people.photos)


def _check_synthetic(settings: Configuration, name: str, photos: str) -> None:
    key, made = f"people.{name}.photos: {photos}", photos.removeprefix(SYNTHETIC_PHOTOS)
    if made not in settings.synthesis.photos:
        raise ConfigurationError(
            key,
            "synthesis.photos.<name> with a name that the configuration lists",
            ", ".join(settings.synthesis.photos) or "no synthesis.photos in the configuration",
            f"list {photos}, or give the folder of photos of yours",
        )
    framing = settings.synthesis.photos[made].framing
    if framing != "portrait":
        raise ConfigurationError(
            key,
            "synthetic photographs as a camera takes them (framing: portrait)",
            f"framing: {framing}",
            f"set {photos}.framing to portrait, or list another data set",
        )


def folder_of(settings: Configuration, name: str) -> str:
    """The folder that the files of a set are relative to, as the configuration has it."""
    people = settings.people[name]
    if people.folder is not None:
        return people.folder
    if people.mgcnet is not None:
        return f"results/{settings.run}/people/{name}/import_triplets/photos"
    return f"results/{settings.run}/synthesis/photos/{_made(people)}/synthesize_photos"


def made_by(settings: Configuration, name: str) -> list[str]:
    """Files of this run that the photos of a set wait for."""
    people = settings.people[name]
    if people.mgcnet is not None:
        return [f"results/{settings.run}/people/{name}/import_triplets/triplets.csv"]
    if people.photos is None:
        return []
    task = settings.synthesis.photos[_made(people)]
    shards = range(-(-task.identities // task.shard_size))
    return [f"{folder_of(settings, name)}/{shard:04d}.parquet" for shard in shards]


def plan_people_set(settings: Configuration, name: str, folder: str, place: Path) -> PhotoPlan:
    """Write or renew the plan of a set, whose folder was looked up; only the main process does.

    Raises:
        ConfigurationError: there is no such folder, or it holds no photo of a person.
        FormatError: there is no such list of triplets.
    """
    people = settings.people[name]
    if people.folder is not None:
        return plan_people(name, folder, place, people.shard_size)
    photos: Iterable[ListedPhoto]
    if people.mgcnet is not None:
        from facemill.photos.triplets import list_triplets  # numpy: not in every job

        photos = list_triplets(Path(people.mgcnet).expanduser(), people.split)
    else:
        photos = _synthetic_photos(settings.synthesis.photos[_made(people)])
    return plan_listed_photos(name, folder, photos, place, people.shard_size, will_be_made=True)


def _synthetic_photos(task: Any) -> Iterator[ListedPhoto]:
    """The pictures that `synthesize_photos` will write; their keys are those of its table."""
    for place, number in enumerate(members_of(task.split, task.first, task.identities)):
        shard, person = f"{place // task.shard_size:04d}", person_name(number)
        for count in range(task.photos_per_identity):
            photo = f"{person}_{count:02d}"
            sitting = f"{count // task.views_per_sitting:02d}"
            yield ListedPhoto(photo, f"{shard}/{photo}.{task.pictures}", person=person, sitting=sitting)


def _made(people: Any) -> str:
    return str(people.photos).removeprefix(SYNTHETIC_PHOTOS)


def triplets_of(settings: Configuration, name: str) -> tuple[str, str]:
    """Folder of the triplets of a set, and the name of their list.

    Raises:
        ConfigurationError: the set is not made of triplets.
    """
    people = settings.people.get(name)
    if people is None or people.mgcnet is None:
        raise ConfigurationError(
            f"people.{name}.mgcnet",
            "the folder of MGCNet's triplets",
            "nothing" if people else "no such set of people",
            f"set people.{name}.mgcnet, or name another set",
        )
    return str(Path(people.mgcnet).expanduser()), people.split
