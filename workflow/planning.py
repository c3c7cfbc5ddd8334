"""What the Snakefile knows before any job runs: the checked configuration, the shards, the code digests.

Every Snakemake job on a cluster parses the workflow again, so this stays cheap: only the main process
lists a photo folder, and it leaves a plan that the others read.
"""

import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import people_sets
import yaml
from capture_sets import CaptureSets
from cost_estimate import CostEstimate
from derived_sets import COARSE, DataSet, data_set, folder_of, made_by, plan_derived_set, set_name, set_names
from face_sets import FaceSets
from surface_sets import SurfaceSets
from training_sets import TrainingSets
from weights import Weights

from facemill.configuration import Configuration, check_configuration
from facemill.photos.people import shard_of_person
from facemill.photos.plan import PhotoPlan, plan_photo_set, read_plan, shard_of
from facemill.runtime.digests import code_digest
from facemill.runtime.errors import FacemillError
from facemill.runtime.provenance import commit_of
from facemill.synthesis.splits import members_of, person_name

OWN = (COARSE, "mean_face")  # predictions that the run makes itself


def read_configuration(root: Path, given: Mapping[str, Any], files: Iterable[Any]) -> Configuration:
    """The configuration of this call: config/config.yaml unless --configfile names others, then --config.

    A key at the top level replaces that of config/config.yaml as a whole, so that `photos: {}` means none.
    """
    shipped = {}
    if not list(files):
        shipped = yaml.safe_load((root / "config" / "config.yaml").read_text(encoding="utf-8")) or {}
    return check_configuration({**shipped, **given})


def open_plan(root: Path, given: Mapping[str, Any], files: Iterable[Any], may_list: bool) -> "Plan":
    """The plan of this call of Snakemake; ends the program with a readable message when it cannot work."""
    try:
        plan = Plan(root, read_configuration(root, given, files), may_list)
        people_sets.check_people(plan.settings, plan.derived_sets)
        for name in (*plan.settings.photos, *plan.settings.people):
            plan.set_plan(name)
        plan.captures  # noqa: B018  (planned now, so that mistakes end the program before any job)
    except FacemillError as error:
        sys.exit(f"{type(error).__name__}: {error}")
    return plan


def grown(amount: int) -> Callable[[Any, int], int]:
    """Memory (MB) or run time (minutes) of a job: more at each retry, which profiles of clusters ask for."""
    return lambda wildcards, attempt: amount * attempt


@dataclass(frozen=True)
class Plan(Weights, TrainingSets, FaceSets, SurfaceSets, CaptureSets, CostEstimate):
    """A run, as the rules see it.

    Attributes:
        root: the repository.
        settings: the checked configuration.
        may_list: whether this process may list photo folders and write plans (the main process).
    """

    root: Path
    settings: Configuration
    may_list: bool
    _codes: dict[str, str] = field(default_factory=dict, repr=False)
    _set_plans: dict[str, PhotoPlan] = field(default_factory=dict, repr=False)

    @property
    def results(self) -> str:
        """results/<run>, relative to the working directory."""
        return f"results/{self.settings.run}"

    @cached_property
    def sets(self) -> dict[str, PhotoPlan]:
        """The plan of each photo set that the configuration lists."""
        return {name: self.set_plan(name) for name in self.settings.photos}

    @cached_property
    def people(self) -> dict[str, PhotoPlan]:
        """The plan of each set of people that the configuration lists."""
        return {name: self.set_plan(name) for name in self.settings.people}

    @cached_property
    def derived_sets(self) -> list[str]:
        """Photo sets of the pictures that evaluations ask for; they are planned when a rule needs them."""
        return set_names(self.settings)

    def set_plan(self, name: str) -> PhotoPlan:
        """The plan of a photo set: of photos, of people, or derived."""
        if name not in self._set_plans:
            place = Path(self.results, "photos", name, "plan")
            if not self.may_list:
                self._set_plans[name] = read_plan(place)
            elif name in self.derived_sets:
                self._set_plans[name] = plan_derived_set(self.settings, name, place)
            elif name in self.settings.people:
                folder = self.folder(name)
                self._set_plans[name] = people_sets.plan_people_set(self.settings, name, folder, place)
            else:
                size = self.settings.photos[name].shard_size
                self._set_plans[name] = plan_photo_set(name, self.folder(name), place, size)
        return self._set_plans[name]

    def folder(self, name: str) -> str:
        """The photo folder of a set: relative paths are looked up here first, then in the repository."""
        if name in self.derived_sets:
            return folder_of(self.settings, name)
        if name in self.settings.people:
            given = people_sets.folder_of(self.settings, name)
        else:
            given = self.settings.photos[name].folder
        folder = Path(given).expanduser()
        if not folder.is_absolute() and not folder.exists() and (self.root / folder).exists():
            folder = self.root / folder
        return str(folder)

    def triplets(self, name: str) -> tuple[str, str]:
        """Folder of the triplets of a set of people, and the name of their list."""
        try:
            return people_sets.triplets_of(self.settings, name)
        except FacemillError as error:
            sys.exit(f"{type(error).__name__}: {error}")

    @property
    def model_source(self) -> str:
        """What the model of the run is made from: the shipped head, or what a converter writes."""
        if self.settings.model == "head":
            return str(self.root / "resources" / "models" / "head.npz")
        return f"{self.results}/convert_{self.settings.model}/model.npz"

    @property
    def whole_head(self) -> str:
        """The model with all of the head that there is; it shares its coefficients with the run's model."""
        if self.settings.model == "bfm09":
            return f"{self.results}/convert_bfm09/head.npz"
        return f"{self.results}/models/{self.settings.model}.npz"

    def model_folder(self, model: str) -> str:
        """The folder of the files of a model to convert, looked up like that of photos."""
        folder = Path(getattr(self.settings, f"convert_{model}").folder).expanduser()
        if not folder.is_absolute() and not folder.exists():
            folder = self.root / folder
        return str(folder)

    def model_files(self, model: str) -> list[str]:
        """What lies in that folder, or in a folder of it; nothing when another model is used."""
        if self.settings.model != model:
            return []
        folder = Path(self.model_folder(model))
        found = [*folder.glob("[!.]*.*"), *folder.glob("FaceXModel/*.obj")]
        return sorted(str(path) for path in found if path.is_file())

    def shards(self, name: str) -> list[str]:
        """Shards of a set."""
        if self.is_synthesized(name):
            return self.synthetic_shards("photos", name)
        try:
            return list(self.set_plan(name).shards)
        except FacemillError as error:
            sys.exit(f"{type(error).__name__}: {error}")

    def shard_files(self, pattern: str, name: str) -> list[str]:
        """One result file per shard of a set; `pattern` holds {set} and {shard}, relative to the results."""
        return [f"{self.results}/{pattern.format(set=name, shard=shard)}" for shard in self.shards(name)]

    def shard_of(self, name: str, photo: str) -> str:
        """The shard that holds a photo of a set."""
        if self.is_synthesized(name):
            return self.synthetic_shard_of(name, photo)
        return shard_of(self.set_plan(name), photo)

    def photo_file(self, pattern: str, wildcards: Any) -> str:
        """The result file of the shard that holds the photo of `wildcards` (with `set` and `photo`)."""
        try:
            shard = self.shard_of(wildcards.set, wildcards.photo)
        except FacemillError as error:
            sys.exit(f"{type(error).__name__}: {error}")
        return f"{self.results}/{pattern.format(set=wildcards.set, shard=shard)}"

    def person_file(self, pattern: str, wildcards: Any) -> str:
        """The result file of the shard that holds the person of `wildcards` (with `set` and `person`)."""
        try:
            shard = shard_of_person(self.set_plan(wildcards.set), wildcards.person)
        except FacemillError as error:
            sys.exit(f"{type(error).__name__}: {error}")
        return f"{self.results}/{pattern.format(set=wildcards.set, shard=shard)}"

    def task(self, kind: str, name: str) -> dict[str, Any]:
        """One task of the configuration's `evaluation.<kind>`; its folders as the jobs see them."""
        tasks = getattr(self.settings.evaluation, kind)
        if name not in tasks:
            known = ", ".join(tasks) or "none"
            sys.exit(f"there is no evaluation.{kind}.{name} in the configuration; it has: {known}")
        task = tasks[name].model_dump(mode="json")
        if kind == "now":
            task["dataset"] = self.data_set(name).folder
        if task.get("predictions") in OWN:
            task["predictions"] = f"{self.results}/evaluation/{kind}/{name}/predictions"
        paths = ("dataset", "predictions", "prediction", "scan", "folder", "cases")
        return {key: str(Path(value).expanduser()) if key in paths else value for key, value in task.items()}

    def data_set(self, name: str) -> DataSet:
        """The data set of an evaluation under the NoW protocol."""
        try:
            return data_set(self.settings, name)
        except FacemillError as error:
            sys.exit(f"{type(error).__name__}: {error}")

    def data_set_files(self, name: str) -> list[str]:
        """What an evaluation under the NoW protocol waits for: the folder, or what makes it."""
        self.task("now", name)
        data = self.data_set(name)
        return list(data.made_by) or [data.folder]

    def pictures_made_by(self, name: str) -> list[str]:
        """Files of this run that the photos of a set wait for; none for photos that lie on disk."""
        if name in self.settings.people:
            return people_sets.made_by(self.settings, name)
        return made_by(self.settings, name) if name in self.derived_sets else []

    def source(self, kind: str, name: str) -> str:
        """What the configuration says of the predictions of a task: a folder, `coarse` or `mean_face`."""
        self.task(kind, name)
        return str(getattr(self.settings.evaluation, kind)[name].predictions)

    def own_faces(self, kind: str, name: str, pattern: str) -> list[str]:
        """One file per shard of the faces that are the predictions of a task; none for the mean face."""
        if self.source(kind, name) != COARSE:
            return []
        return self.shard_files(pattern, set_name(self.settings, kind, name))

    def own_people(self, name: str, pattern: str) -> list[str]:
        """One file per shard of the people whose identities are asked for; none: photos have their own."""
        asked = self.settings.evaluation.now[name].identity
        return [] if asked in ("photo", "subject") else self.own_faces("now", name, pattern)

    def synthetic_set(self, kind: str, name: str) -> dict[str, Any]:
        """One data set of the configuration's `synthesis.<kind>`."""
        tasks = getattr(self.settings.synthesis, kind)
        if name not in tasks:
            known = ", ".join(tasks) or "none"
            sys.exit(f"there is no synthesis.{kind}.{name} in the configuration; it has: {known}")
        task: dict[str, Any] = tasks[name].model_dump(mode="json")
        return task

    def synthetic_shards(self, kind: str, name: str) -> list[str]:
        """Shards of a synthetic data set that is made `shard_size` people at a time."""
        task = self.synthetic_set(kind, name)
        return [f"{shard:04d}" for shard in range(-(-task["identities"] // task["shard_size"]))]

    def synthetic_files(self, kind: str, name: str, pattern: str) -> list[str]:
        """One result of each shard; `pattern` holds {shard}, relative to the data set's folder."""
        folder = f"{self.results}/synthesis/{kind}/{name}"
        return [f"{folder}/{pattern.format(shard=shard)}" for shard in self.synthetic_shards(kind, name)]

    def synthetic_people(self, kind: str, name: str) -> list[int]:
        """Numbers of the people of a synthetic data set."""
        task = self.synthetic_set(kind, name)
        return members_of(task["split"], task["first"], task["identities"])

    def capture_files(self, name: str, pattern: str) -> list[str]:
        """One result per person of a set of captures; `pattern` holds {person}."""
        folder = f"{self.results}/synthesis/captures/{name}/synthesize_captures"
        return [f"{folder}/{pattern.format(person=n)}" for n in self.synthetic_people("captures", name)]

    def scan_files(self, name: str, pattern: str) -> list[str]:
        """One result per person of a set of scans; `pattern` holds {person}."""
        folder = f"{self.results}/synthesis/scans/{name}/synthesize_scans"
        people = self.synthetic_people("scans", name)
        return [f"{folder}/{pattern.format(person=person_name(n))}" for n in people]

    @property
    def evaluation_results(self) -> list[str]:
        """The summary of each evaluation that the configuration lists."""
        tasks = self.settings.evaluation
        return [
            f"{self.results}/evaluation/{kind}/{name}.json"
            for kind in type(tasks).model_fields
            for name in getattr(tasks, kind)
        ]

    def now_files(self, pattern: str) -> list[str]:
        """One file per evaluation under the NoW protocol; `pattern` holds {name}, below evaluation/now/."""
        return [
            f"{self.results}/evaluation/now/{pattern.format(name=name)}"
            for name in self.settings.evaluation.now
        ]

    @property
    def comparison(self) -> list[str]:
        """What `compare_methods` writes; nothing for a run that evaluates nothing."""
        files = ("comparison.csv", "comparison.txt", "floor.csv") if self.evaluation_results else ()
        return [f"{self.results}/evaluation/{name}" for name in files]

    @property
    def plan_files(self) -> list[str]:
        """The plans of all sets of photos and people, and of all captures."""
        sets = [f"{self.set_plan(name).folder}/plan.json" for name in (*self.sets, *self.people)]
        return sets + [f"{self.results}/multiview/plan/{name}.json" for name in self.captures]

    @property
    def commit(self) -> str:
        """The commit of the code; another one renews the provenance."""
        return str(commit_of(self.root)["commit"])

    @property
    def published(self) -> list[str]:
        """Tables of published figures."""
        return sorted(map(str, (self.root / "resources" / "published").glob("*.csv")))

    @property
    def exported_sets(self) -> list[str]:
        """Sets that are small enough for a folder of results per photo."""
        return [name for name, photos in self.sets.items() if photos.count <= self.settings.export_limit]

    @property
    def detail_sets(self) -> list[str]:
        """Photo sets whose faces get a detail layer: all, where there are weights for the model."""
        return list(self.sets) if self.stage_with_weights("reconstruct_detail", "network")["network"] else []

    def detail_files(self) -> list[str]:
        """The last result of each shard of those sets: with folders where the set is small enough."""
        exported = self.exported_sets
        return [
            file
            for name in self.detail_sets
            for file in self.shard_files(
                f"detail/{{set}}/{'export' if name in exported else 'reconstruct'}_detail/{{shard}}.parquet",
                name,
            )
        ]

    @property
    def animated_photos(self) -> list[str]:
        """Pictures of the photos that `animate_detail` shows under other expressions in a whole run."""
        photos = self.settings.animate_detail.photos if self.detail_sets else ()
        return [f"{self.results}/detail/{photo}/expressions.png" for photo in photos]

    def people_result(self, name: str) -> str:
        """The last result of each shard of a set of people: with folders where the set is small enough."""
        small = self.people[name].count <= self.settings.export_limit
        return f"people/{{set}}/{'export' if small else 'reconstruct'}_person/{{shard}}.parquet"

    @property
    def gpus(self) -> int:
        """GPUs that a rule which can use one asks the scheduler for."""
        return int(self.settings.device.startswith("cuda"))

    @property
    def photo_memory(self) -> int:
        """MB of a rule that decodes photos: what one may take, and what the rule needs before the first."""
        return 1000 + self.settings.limits.memory_mb_per_photo

    def stage(self, rule: str) -> dict[str, Any]:
        """The settings of a rule as plain values."""
        section: Any = getattr(self.settings, rule)
        values: dict[str, Any] = section.model_dump(mode="json")
        if "seed" in values:  # the run's seed moves every random choice; a rule's own moves one of them
            values["seed"] += self.settings.seed
        return values

    def code(self, rule: str) -> str:
        """A digest of the library code that the script of `rule` reaches: a change reruns the rule."""
        if rule not in self._codes:
            self._codes[rule] = code_digest(self.root / "scripts" / f"{rule}.py", self.root / "src")
        return self._codes[rule]
