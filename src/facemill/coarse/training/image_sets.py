"""The stage `train_image_set`: a confidence network on top of a coarse network that stays as it is."""

from __future__ import annotations

import copy
import logging
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from facemill.coarse.image_set_settings import ImageSetSettings
from facemill.coarse.networks.confidence_network import (
    ConfidenceNetwork,
    ImageSetNetwork,
    confidence_network_for,
    save_confidence,
)
from facemill.coarse.networks.files import load_network
from facemill.coarse.networks.identity_network import load_identity
from facemill.coarse.training.batches import PackedShards, person_key
from facemill.coarse.training.labels import label_maker
from facemill.coarse.training.objective import TrainingObjective
from facemill.coarse.training.protocol import Protocol, ProtocolValidation
from facemill.coarse.training.task import CoarseTask, TrainingSets
from facemill.coarse.training.train import needs_identity, open_sets
from facemill.formats.checkpoints import read_pickled
from facemill.geometry.camera import DEEP3D_DISTANCE
from facemill.models.morphable import MorphableModel
from facemill.runtime.digests import file_digest
from facemill.runtime.errors import ConfigurationError
from facemill.runtime.files import atomic_path, write_bytes, write_json
from facemill.runtime.tables import read_table
from facemill.training.files import TrainingFiles, TrainingOutputs
from facemill.training.journal import METRICS
from facemill.training.order import EpochOrder
from facemill.training.run import TrainingRun, make_fabric

logger = logging.getLogger(__name__)


class SetOrder(EpochOrder):
    """Which images each step sees: whole sets of `photos` of one person.

    People and photos are drawn anew in each epoch; people with fewer photos are left out.

    Args:
        people: (N,) whose each image is.
        photos, batch: images per set and, a multiple of it, per step; the others as in `EpochOrder`.
    """

    def __init__(
        self,
        people: NDArray[np.str_],
        photos: int,
        batch: int,
        seed: int,
        first: int,
        last: int,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        self.members = members_of(people, photos)
        self.photos = photos
        super().__init__(len(self.members) * photos, batch, seed, first, last, rank, world)

    def _permutation(self, random: np.random.Generator) -> NDArray[np.int64]:
        people = random.permutation(len(self.members))
        chosen = [random.permutation(self.members[person])[: self.photos] for person in people]
        return np.concatenate(chosen).astype(np.int64)


def members_of(people: NDArray[np.str_], photos: int) -> list[NDArray[np.int64]]:
    """Images of each person who has at least `photos`, people in the order of their first image.

    >>> [rows.tolist() for rows in members_of(np.array(["b", "a", "b", "a", "c"]), 2)]
    [[0, 2], [1, 3]]
    """
    rows: dict[str, list[int]] = {}
    for row, person in enumerate(people.tolist()):
        if person:
            rows.setdefault(person, []).append(row)
    return [np.array(found) for found in rows.values() if len(found) >= photos]


def in_sets(images: PackedShards, photos: int) -> PackedShards:
    """The first `photos` images of each person who has them, one set after another."""
    members = members_of(images.people(), photos)
    rows = np.concatenate([found[:photos] for found in members]) if members else np.zeros(0, np.int64)
    sets = copy.copy(images)
    sets.places = images.places[rows]
    sets.group = photos
    return sets


def left_out_photos(tables: Iterable[tuple[str, str | Path]]) -> frozenset[tuple[str, str]]:
    """Persons (as in `person_key`) and names of the photos that `group_people` does not use.

    Args:
        tables: of `group_people`, each with the set that its people are of, as in `person_key`.
    Raises:
        FormatError: a table is missing or is none.
    """
    found: set[tuple[str, str]] = set()
    for people_set, path in tables:
        table = read_table(path)
        unused = table[~table["used"].astype(bool)]
        people = [person_key(str(person), people_set) for person in unused["person"]]
        found |= set(zip(people, unused["photo"].astype(str), strict=True))
    return frozenset(found)


def only_used(images: PackedShards, left_out: frozenset[tuple[str, str]]) -> PackedShards:
    """The images that may stand for their person: copies and other people's faces are left out."""
    pairs = zip(images.people().tolist(), map(str, images.column("photo")), strict=True)
    kept = copy.copy(images)
    kept.places = images.places[np.array([pair not in left_out for pair in pairs], dtype=bool)]
    return kept


class ImageSetTask(CoarseTask):
    """A training whose batches are made of sets; see `CoarseTask`."""

    rule = "train_image_set"
    settings: ImageSetSettings

    def order(self, first: int, last: int, rank: int, world: int) -> EpochOrder:
        """Set by set."""
        settings, people = self.settings, self.images.people()
        return SetOrder(people, settings.photos, settings.batch, settings.seed, first, last, rank, world)


def train_image_set(
    files: TrainingFiles,
    model: MorphableModel,
    model_name: str,
    settings: ImageSetSettings,
    folder: str | Path,
    outputs: TrainingOutputs,
    device: torch.device,
    protocol: Protocol | None = None,
) -> None:
    """Train a confidence network, or go on with the training whose checkpoints are in `folder`.

    The loss is that of `train_coarse`, each photo with the identity and the albedo of its set (Deng et al.
    2019). The coarse network is that of `settings.start`; nothing of it changes.

    Raises:
        ConfigurationError: no person has enough photos, the settings contradict one another, or there are
            labels and the coarse network has another camera than theirs.
        FormatError, TrainingError: as in `train_coarse`.
    """
    if not settings.start:
        raise ConfigurationError(
            "train_image_set.start: there is no coarse network to build on",
            "the weights of one",
            f"none, and none ship for the model {model_name}",
            "train one with train_coarse and name its weights",
        )
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    fabric = make_fabric(settings, device)
    fabric.launch()
    found = open_sets(files, settings, model, ImageSetTask.rule)
    validation = only_used(found.validation, files.left_out)
    sets = TrainingSets(
        only_people(only_used(found.train, files.left_out), settings.photos, "train"),
        in_sets(validation, settings.photos),
        found.mirror,
        found.seen,
    )
    if not len(sets.validation):
        raise _too_few(validation, settings.photos, "validation")
    torch.manual_seed(settings.seed)
    coarse = load_network(settings.start, model, model_name)
    if found.train.has_labels and coarse.spec.camera_distance != DEEP3D_DISTANCE:
        raise ConfigurationError(
            "train_image_set.start: labels know poses for the camera of Deep3D alone",
            f"weights of a network with camera_distance {DEEP3D_DISTANCE:.0f} for sets with labels",
            f"{coarse.spec.camera_distance:g} in {settings.start}",
            "start from other weights, or train on photos without labels",
        )
    network = ImageSetNetwork(coarse, confidence_network_for(coarse, settings.channels), settings.photos)
    maker = None if sets.mirror is None else label_maker(model.to("cpu"))
    model = model.to(fabric.device)
    identity = (
        load_identity(settings.identity_network).to(fabric.device) if needs_identity(settings) else None
    )
    objective = TrainingObjective(model, network.spec, settings, maker, identity)
    judge = None
    if protocol and settings.protocol_images:
        judge = ProtocolValidation(model, protocol, sets.validation, settings.protocol_images)
    task = ImageSetTask(objective, sets, settings, judge)
    run = TrainingRun(fabric, network, task, settings, folder, settings.freeze_norms)
    best = run.train()
    if fabric.is_global_zero:
        _write(outputs, run, best, model_name, confidence_network_for(coarse, settings.channels), settings)


def only_people(images: PackedShards, photos: int, part: str) -> PackedShards:
    """The images of people who have at least `photos`.

    Raises:
        ConfigurationError: nobody has.
    """
    members = members_of(images.people(), photos)
    if not members:
        raise _too_few(images, photos, part)
    kept = copy.copy(images)
    kept.places = images.places[np.sort(np.concatenate(members))]
    return kept


def _too_few(images: PackedShards, photos: int, part: str) -> ConfigurationError:
    people: Sequence[str] = sorted(set(images.people().tolist()) - {""})
    return ConfigurationError(
        f"train_image_set.{part}: nobody has {photos} photos",
        f"people with at least {photos} photos each (train_image_set.photos)",
        f"{len(images)} photos of {len(people)} people who are known by name",
        "name sets of people or synthesis.photos with more photos of each, or lower train_image_set.photos",
    )


def _write(
    outputs: TrainingOutputs,
    run: TrainingRun,
    best: Path,
    model_name: str,
    confidence: ConfidenceNetwork,
    settings: ImageSetSettings,
) -> None:
    write_bytes(outputs.metrics, (run.folder / METRICS).read_bytes())
    with atomic_path(outputs.faces) as partial:
        Image.fromarray(run.faces()).save(partial)
    write_json(outputs.summary, run.summary(best))
    content = read_pickled(best)
    prefix = "confidence."
    confidence.load_state_dict(
        {name[len(prefix) :]: value for name, value in content["average"].items() if name.startswith(prefix)}
    )
    notes = {"step": str(content["step"]), "photos": str(settings.photos)}
    save_confidence(outputs.weights, confidence, model_name, file_digest([str(settings.start)]), notes)
