"""Where the aligned faces of a set are: in the photo stages' folders, or in a synthetic set's own.

`reconstruct_coarse` and what follows it work on the photo sets of a run and on its `synthesis.photos`, by
name; a photo set of the same name comes first.
"""

import sys
from typing import Any

from facemill.runtime.errors import FacemillError
from facemill.synthesis.splits import members_of, person_name

CROP_SIZE = 224


class FaceSets:
    """The part of `planning.Plan` that knows where faces are; `wildcards`: `set`, and `shard` or `photo`."""

    settings: Any
    results: str
    derived_sets: list[str]
    folder: Any
    shard_of: Any
    shard_files: Any
    task: Any

    def is_synthesized(self, name: str) -> bool:
        """Whether a set of faces is one of `synthesis.photos`."""
        listed = (*self.settings.photos, *self.settings.people, *self.derived_sets)
        return name in self.settings.synthesis.photos and name not in listed

    def face_files(self, wildcards: Any) -> dict[str, str]:
        """Table, crops and masks of one shard, as files and folders that rules make."""
        if self.is_synthesized(wildcards.set):
            place = self._synthetic_place(wildcards)
            return {"table": f"{place}.parquet", "crops": place, "masks": place}
        photos, shard = f"{self.results}/photos/{wildcards.set}", self._shard(wildcards)
        return {
            "table": f"{photos}/segment_skin/{shard}.parquet",
            "crops": f"{photos}/align_faces/{shard}",
            "masks": f"{photos}/segment_skin/{shard}",
        }

    def crops_folder(self, wildcards: Any) -> str:
        """The folder of the 224-px crops of a shard."""
        place = self.face_files(wildcards)["crops"]
        own_size = not self.is_synthesized(wildcards.set) or self._task(wildcards.set).size == CROP_SIZE
        return place if own_size else f"{place}/crops"

    def masks_folder(self, wildcards: Any) -> str:
        """The folder of their skin masks."""
        place = self.face_files(wildcards)["masks"]
        return f"{place}/masks" if self.is_synthesized(wildcards.set) else place

    def photo_folder(self, wildcards: Any) -> str:
        """The folder that the files of the photos of a shard are relative to."""
        if self.is_synthesized(wildcards.set):
            return self._synthetic_place(wildcards)
        return str(self.folder(wildcards.set))

    def displacement_folder(self, wildcards: Any) -> str | None:
        """The folder of the true displacement of the photos of a shard; None where nobody knows."""
        if not self.is_synthesized(wildcards.set) or not self._task(wildcards.set).displacement:
            return None
        return f"{self._synthetic_place(wildcards)}/displacement"

    def measured_faces(self, name: str, pattern: str) -> list[str]:
        """One file per shard of the photos of `evaluation.detail.<name>`; `pattern` has {set} and {shard}."""
        chosen = str(self.task("detail", name)["dataset"]).removeprefix("synthesis.photos.")
        task = self.settings.synthesis.photos.get(chosen)
        if task is None or not (task.displacement and task.surfaces) or not self.is_synthesized(chosen):
            sys.exit(
                f"evaluation.detail.{name}.dataset: synthesis.photos.{chosen} must be a set of this "
                "configuration with displacement: true and surfaces: true, whose name no photo set has"
            )
        return list(self.shard_files(pattern, chosen))

    def synthetic_shard_of(self, name: str, photo: str) -> str:
        """The shard of a synthetic set that holds a photo."""
        task = self.settings.synthesis.photos[name]
        people = members_of(task.split, task.first, task.identities)
        places = {
            f"{person_name(number)}_{count:02d}": place
            for place, number in enumerate(people)
            for count in range(task.photos_per_identity)
        }
        if photo not in places:
            first, last = next(iter(places)), next(reversed(places))
            sys.exit(f"synthesis.photos.{name} has no photo {photo}; it has {first} to {last}")
        return f"{places[photo] // task.shard_size:04d}"

    def _synthetic_place(self, wildcards: Any) -> str:
        name, task = wildcards.set, self._task(wildcards.set)
        if task.pictures != "png" or task.framing != "crop":
            sys.exit(
                f"synthesis.photos.{name} cannot be reconstructed as it is: that needs pictures: png and "
                f"framing: crop, it has pictures: {task.pictures} and framing: {task.framing}; portraits go "
                "through the photo stages (docs/synthesize_photos.md)"
            )
        return f"{self.results}/synthesis/photos/{name}/synthesize_photos/{self._shard(wildcards)}"

    def _shard(self, wildcards: Any) -> str:
        if hasattr(wildcards, "shard"):
            return str(wildcards.shard)
        try:
            return str(self.shard_of(wildcards.set, wildcards.photo))
        except FacemillError as error:
            sys.exit(f"{type(error).__name__}: {error}")

    def _task(self, name: str) -> Any:
        return self.settings.synthesis.photos[name]
