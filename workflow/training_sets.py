"""Which images the trainings of a run read, and what they leave."""

import sys
from pathlib import Path
from typing import Any

FILES = ("network.safetensors", "metrics.csv", "faces.png", "summary.json")
FOLDERS = {
    "train_coarse": "coarse/train_coarse",
    "train_image_set": "people/train_image_set",
    "train_detail": "detail/train_detail",
    "train_implicit": "multiview/train_implicit",
    "train_regularizer": "multiview/train_regularizer",
    "train_mesoscopic": "multiview/train_mesoscopic",
}
PACKED = {"train_detail": "detail/{set}/pack_detail/{shard}"}  # others: pack_training's


class TrainingSets:
    """The part of `planning.Plan` that knows trainings; `rule` is one of `FOLDERS`."""

    settings: Any
    results: str
    shards: Any
    synthetic_shards: Any

    def is_synthetic(self, name: str) -> bool:
        """Whether a set to train on is one of `synthesis.photos`, not a photo set."""
        listed = [*self.settings.photos, *self.settings.people]
        if name in listed or name in self.settings.synthesis.photos:
            return name not in listed
        known = ", ".join([*listed, *self.settings.synthesis.photos]) or "none"
        sys.exit(f"a training names {name}, which is not in photos, people or synthesis.photos: {known}")

    def training_files(self, wildcards: Any) -> dict[str, Any]:
        """What `pack_training` reads of one shard of a set."""
        name, shard = wildcards.set, wildcards.shard
        if self.is_synthetic(name):
            place = f"{self.results}/synthesis/photos/{name}/synthesize_photos/{shard}"
            return {"table": f"{place}.parquet", "crops": place, "truth": f"{place}.npz"}
        photos = f"{self.results}/photos/{name}"
        files = {
            "table": f"{photos}/segment_skin/{shard}.parquet",
            "crops": f"{photos}/align_faces/{shard}",
            "masks": f"{photos}/segment_skin/{shard}",
        }
        if name in self.settings.people and self.settings.train_coarse.tuples_per_step:
            files["tuples"] = f"{self.results}/people/{name}/group_people/{shard}_tuples.parquet"
        return files

    def people_set(self, name: str) -> str:
        """The set that names of people are of; empty where equal names are one person: all synthetic ones."""
        people = self.settings.people.get(name)
        return name if people is not None and people.photos is None else ""

    def training_sets(self, rule: str, part: str) -> list[str]:
        """Names of the sets to train on (`train`) or to validate on (`validation`)."""
        settings = getattr(self.settings, rule)
        return list(getattr(settings, part) or settings.train)

    def packed_shards(self, rule: str, part: str) -> list[str]:
        """Folders of `pack_training` or `pack_detail` that a training reads."""
        folders, place = [], PACKED.get(rule, "coarse/{set}/pack_training/{shard}")
        for name in self.training_sets(rule, part):
            synthetic = self.is_synthetic(name)
            shards = self.synthetic_shards("photos", name) if synthetic else self.shards(name)
            folders += [f"{self.results}/{place.format(set=name, shard=shard)}" for shard in shards]
        return folders

    def held_out(self, rule: str) -> list[str]:
        """Tables of the photos that a training must not see."""
        names = {*self.training_sets(rule, "train"), *self.training_sets(rule, "validation")}
        return [
            f"{self.results}/photos/{name}/split_dataset/val.csv"
            for name in sorted(names)
            if not self.is_synthetic(name)
        ]

    def people_groups(self, rule: str) -> dict[str, str]:
        """Tables of `group_people` of a training's sets of people → the set that names are of.

        The training reads them, not `pack_training`: the faces that people are grouped by may be those of a
        network that is trained on the same packed images.
        """
        names = {*self.training_sets(rule, "train"), *self.training_sets(rule, "validation")}
        return {
            f"{self.results}/people/{name}/group_people/{shard}.parquet": self.people_set(name)
            for name in sorted(names & set(self.settings.people))
            for shard in self.shards(name)
        }

    def own_weights(self, rule: str, *keys: str) -> list[str]:
        """Weights that the settings of a rule name and that a training of this run makes: they come first."""
        made = {Path(files[0]) for files in map(self.training_results, FOLDERS) if files}
        values = getattr(self.settings, rule)
        named = [getattr(values, key) for key in keys]
        return [name for name in named if name and Path(name) in made]

    @property
    def trainings(self) -> list[str]:
        """Names of the rules that train a network."""
        return list(FOLDERS)

    def training_results(self, rule: str) -> list[str]:
        """What a training leaves, weights first; nothing in a run in which it trains on no set."""
        trained = getattr(self.settings, rule).train
        return [f"{self.results}/{FOLDERS[rule]}/{name}" for name in FILES if trained]
