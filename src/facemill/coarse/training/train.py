"""The stage `train_coarse`: from packed images to weights."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path

import torch
from PIL import Image

from facemill.coarse.networks.coarse_network import CoarseNetwork, NetworkSpec, spec_for
from facemill.coarse.networks.files import load_backbone, load_network, save_network
from facemill.coarse.networks.identity_network import load_identity
from facemill.coarse.training.batches import PackedShards
from facemill.coarse.training.labels import label_maker, mirror_map
from facemill.coarse.training.objective import TrainingObjective
from facemill.coarse.training.protocol import Protocol, ProtocolValidation
from facemill.coarse.training.task import CoarseTask, TrainingSets
from facemill.coarse.training_settings import TrainSettings
from facemill.formats.checkpoints import read_pickled
from facemill.geometry.camera import DEEP3D_DISTANCE
from facemill.models.morphable import LinearModel, MorphableModel
from facemill.runtime.errors import ConfigurationError
from facemill.runtime.files import atomic_path, write_bytes, write_json
from facemill.training.files import TrainingFiles, TrainingOutputs
from facemill.training.journal import METRICS
from facemill.training.run import TrainingRun, make_fabric

LEAST_IMAGES = 2  # a batch norm needs more than one

logger = logging.getLogger(__name__)


def train_coarse(
    files: TrainingFiles,
    model: MorphableModel,
    model_name: str,
    settings: TrainSettings,
    folder: str | Path,
    outputs: TrainingOutputs,
    device: torch.device,
    protocol: Protocol | None = None,
) -> None:
    """Train a network, or go on with the training whose checkpoints are in `folder`.

    With `settings.processes` above 1 this process starts the others, which run the same script.

    Args:
        folder: for `last.pth`, `best.pth`, `metrics.csv`, TensorBoard's events, pictures.
        protocol: of a benchmark, by which images with labels are validated too.
    Raises:
        ConfigurationError: too few images, or nothing to learn from.
        FormatError: packed shards or `start` do not fit.
        TrainingError: the loss is no number, or `folder` holds another training.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    fabric = make_fabric(settings, device)
    fabric.launch()
    sets = open_sets(files, settings, model)
    start = read_start(settings.start, model, model_name)
    spec = spec_of(settings, sets, model, start)
    torch.manual_seed(settings.seed)
    network = CoarseNetwork(spec)
    if network.dense_head is not None:
        network.dense_head.begin_at_mean_face(model, spec.dense_vertices)
        network.dense_head.requires_grad_(bool(sets.train.dense_vertices))  # photos teach it nothing
    if start is not None:
        start_from(start, network, settings.start)
    elif settings.start:
        load_backbone(settings.start, network)
    model = model.to(fabric.device)
    maker = None if sets.mirror is None else label_maker(model.to("cpu"))
    identity = (
        load_identity(settings.identity_network).to(fabric.device) if needs_identity(settings) else None
    )
    objective = TrainingObjective(model, spec, settings, maker, identity)
    judge = None
    if protocol and settings.protocol_images:
        judge = ProtocolValidation(model, protocol, sets.validation, settings.protocol_images)
    task = CoarseTask(objective, sets, settings, judge)
    run = TrainingRun(fabric, network, task, settings, folder, settings.freeze_norms)
    logger.info("%d images to train on, %d to validate on", len(sets.train), len(sets.validation))
    best = run.train()
    if fabric.is_global_zero:
        write_outputs(outputs, run, best, spec, model_name)


def write_outputs(
    outputs: TrainingOutputs, run: TrainingRun, best: Path, spec: NetworkSpec, model_name: str
) -> None:
    """Write what a finished training leaves; a run that was killed and went on leaves the same."""
    write_bytes(outputs.metrics, (run.folder / METRICS).read_bytes())
    with atomic_path(outputs.faces) as partial:
        Image.fromarray(run.faces()).save(partial)
    write_json(outputs.summary, run.summary(best))
    images = {"images": str(len(run.task.images))}
    export_weights(best, CoarseNetwork(spec), model_name, outputs.weights, images)


def spec_of(
    settings: TrainSettings, sets: TrainingSets, model: MorphableModel, start: CoarseNetwork | None
) -> NetworkSpec:
    """The network of the settings; its dense landmarks are those of the packed shards, else of `start`.

    Raises:
        ConfigurationError: dense landmarks are asked for, and neither the sets to train on nor the weights
            to start from have any, or the validation sets have others.
    """
    choices = settings.network.model_dump(exclude={"dense_landmarks"})
    choices["camera_distance"] = settings.camera_distance
    if not settings.network.dense_landmarks:
        return spec_for(model, **choices)
    vertices = sets.train.dense_vertices or (start.spec.dense_vertices if start else ())
    if not vertices:
        raise ConfigurationError(
            "train_coarse.network.dense_landmarks: there is nothing to learn them from",
            "a synthetic set in train_coarse.train, or weights in train_coarse.start that have them",
            "photos without labels",
            "add a set of synthesis.photos, or set it to false",
        )
    if sets.validation.dense_vertices and sets.validation.dense_vertices != vertices:
        raise ConfigurationError(
            "train_coarse.validation: its dense landmarks are not those of the network",
            f"the {len(vertices)} vertices of the training sets or of the weights to start from",
            f"{len(sets.validation.dense_vertices)} vertices, other ones",
            "make the synthetic sets again with one version",
        )
    return spec_for(model, **choices, dense_vertices=vertices)


def export_weights(
    checkpoint: Path, network: CoarseNetwork, model_name: str, weights: str | Path, notes: Mapping[str, str]
) -> None:
    """Write the mean of the weights that a checkpoint holds."""
    result = CoarseNetwork(network.spec)
    content = read_pickled(checkpoint)
    result.load_state_dict(content["average"])
    save_network(weights, result, model_name, {**notes, "step": str(content["step"])})


def open_sets(
    files: TrainingFiles, settings: TrainSettings, model: MorphableModel, rule: str = "train_coarse"
) -> TrainingSets:
    """Open the packed shards and check that there is something to learn.

    Args:
        rule: whose settings these are, for what errors say.
    Raises:
        ConfigurationError: fewer images than a batch norm needs, none to validate on, supervised training
            without labels, or multi-view terms without views to compare.
    """
    both = set(files.train) & set(files.validation)
    train = PackedShards(files.train, without=files.held_out)
    validation = PackedShards(files.validation, names=files.held_out, whole=files.only_validated)
    seen = bool(settings.validation and both and not len(validation))
    if seen:
        logger.warning("none of the images is held out: validation is on the training images themselves")
        validation = PackedShards(files.validation)
    if len(train) < max(LEAST_IMAGES, settings.batch // 8):
        raise ConfigurationError(
            f"{rule}.train: {len(train)} images are too few",
            f"at least {max(LEAST_IMAGES, settings.batch // 8)} for batches of {settings.batch}",
            f"{len(train)} in {len(files.train)} shards",
            f"add photo sets or synthetic sets to {rule}.train, or lower {rule}.batch",
        )
    if not len(validation):
        raise ConfigurationError(
            f"{rule}.validation: there is no image to validate on",
            "a set, or held-out photos of the training sets",
            f"{len(files.validation)} shards without one",
            f"name a set in {rule}.validation, or raise split_dataset.val_share",
        )
    if not train.has_labels and settings.rendered_share == 0:
        raise ConfigurationError(
            f"{rule}.rendered_share: 0 leaves nothing to learn from",
            "labels (synthetic sets), or a share above 0",
            "photos without labels",
            f"set {rule}.rendered_share to 1",
        )
    if train.has_labels and settings.camera_distance != DEEP3D_DISTANCE:
        raise ConfigurationError(
            f"{rule}.camera_distance: labels know poses for the camera of Deep3D alone",
            f"{DEEP3D_DISTANCE:.0f} for sets with labels",
            f"{settings.camera_distance:g}",
            f"set it to {DEEP3D_DISTANCE:.0f}, or train on photos without labels",
        )
    if settings.tuples_per_step:
        _check_tuples(train, len(files.train))
    if not ((train.has_labels or validation.has_labels) and isinstance(model, LinearModel)):
        return TrainingSets(train, validation, None, seen)
    cpu = model.to("cpu")
    assert isinstance(cpu, LinearModel)
    mirror = mirror_map(cpu, label_maker(cpu), train.dense_vertices)
    return TrainingSets(train, validation, mirror, seen)


def _check_tuples(train: PackedShards, shards: int) -> None:
    """Check that there are views to compare.

    Raises:
        ConfigurationError: no tuples, or none with a flag above 0: the multi-view terms would all be 0.
    """
    flags = train.tuples()[1]
    if not len(flags):
        raise ConfigurationError(
            "train_coarse.consistency.share: there are no tuples of views to compare",
            "sets of people, or synthesis.photos with views_per_sitting of 2 or more, in train_coarse.train",
            f"none in {shards} shards",
            "name such a set, pack it again if it was packed by an older version, or set the share to 0",
        )
    if not (flags > 0).any():
        raise ConfigurationError(
            "train_coarse.consistency.share: nothing may be compared between the views of any tuple",
            "views of one sitting: photos in a folder per sitting inside the person's folder",
            f"{len(flags)} tuples, all with flag 0",
            "sort the photos into sittings, set group_people.unknown_sittings: together if all of a person "
            "are of one, or set the share to 0; the tables of tuples of group_people have a reason for each",
        )


def needs_identity(settings: TrainSettings) -> bool:
    """Whether the perceptual term is computed."""
    return settings.rendered_share > 0 and settings.hybrid.perceptual > 0


def read_start(path: str, model: MorphableModel, model_name: str) -> CoarseNetwork | None:
    """The network to start from; None for no path and for a backbone of torchvision.

    Raises:
        FormatError: the file is none of ours, of Deep3D's `epoch_*.pth` or of torchvision's backbones.
    """
    if not path or (path.lower().endswith(".pth") and "conv1.weight" in read_pickled(Path(path))):
        return None
    return load_network(path, model, model_name)


def start_from(found: CoarseNetwork, network: CoarseNetwork, path: str) -> None:
    """Fill `network` from weights read from `path`; other dense landmarks than theirs stay as they are.

    Raises:
        ConfigurationError: networks of two kinds.
    """
    names = ["backbone", "width", "single_layer", "colors", "camera_distance"]
    if found.dense_head is not None and network.dense_head is not None:
        names.append("reduction")  # the head of dense landmarks sees a map of one size
    differing = {
        name: (getattr(found.spec, name), getattr(network.spec, name))
        for name in names
        if getattr(found.spec, name) != getattr(network.spec, name)
    }
    if differing:
        name, (there, here) = next(iter(differing.items()))
        place = name if name == "camera_distance" else f"network.{name}"
        raise ConfigurationError(
            f"train_coarse.{place} is not that of the weights to start from",
            f"{there}, as in {path}",
            str(here),
            f"set train_coarse.{place} to {there}, or start from other weights",
        )
    if found.dense_head is None or found.spec.dense_vertices != network.spec.dense_vertices:
        kept = {n: v for n, v in network.state_dict().items() if n.startswith("dense_head.")}
        rest = {n: v for n, v in found.state_dict().items() if not n.startswith("dense_head.")}
        network.load_state_dict({**rest, **kept})
        return
    network.load_state_dict(found.state_dict())
