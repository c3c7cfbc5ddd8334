"""The stage `train_detail`: from packed faces to weights."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from facemill.detail.atlas import DetailAtlas, prepare_detail_atlas
from facemill.detail.networks.detail_network import DetailNetwork
from facemill.detail.networks.files import (
    AnyDetailNetwork,
    check_window,
    load_network,
    make_network,
    save_network,
)
from facemill.detail.networks.spec import NetworkSpec
from facemill.detail.training.augmentation import mirror_of
from facemill.detail.training.batches import PackedFaces, batch_from, collate
from facemill.detail.training.objective import DetailObjective
from facemill.detail.training.task import DetailSets, DetailTask
from facemill.detail.training.validation import calibrate, draw_faces
from facemill.detail.training_settings import TrainDetailSettings
from facemill.faces.decode import mean_face
from facemill.formats.checkpoints import read_pickled
from facemill.models.morphable import MorphableModel
from facemill.runtime.errors import ConfigurationError
from facemill.runtime.files import atomic_path, write_bytes, write_json
from facemill.training.files import TrainingFiles, TrainingOutputs
from facemill.training.journal import METRICS
from facemill.training.run import TrainingRun, make_fabric

LEAST_FACES = 2
PRIOR_FACES = 128  # whose displacement says what is usual
LEAST_SCALE = 0.01  # mm

logger = logging.getLogger(__name__)


def train_detail(
    files: TrainingFiles,
    model: MorphableModel,
    model_name: str,
    settings: TrainDetailSettings,
    folder: str | Path,
    outputs: TrainingOutputs,
    device: torch.device,
) -> None:
    """Train a network, or go on with the training whose checkpoints are in `folder`.

    The coarse faces are data: nothing of them changes. With `settings.processes` above 1 this process starts
    the others, which run the same script.

    Args:
        folder: for `last.pth`, `best.pth`, `metrics.csv`, TensorBoard's events, pictures.
    Raises:
        ConfigurationError: too few faces, or nothing to learn from.
        FormatError: packed shards or `start` do not fit.
        TrainingError: the loss is no number, or `folder` holds another training.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    fabric = make_fabric(settings, device)
    fabric.launch()
    sets = open_sets(files, settings)
    atlas = prepare_detail_atlas(model.topology, sets.train.window[0])
    check_sets(sets, atlas, model)
    mirror = mirror_of(atlas, mean_face(model))
    logger.info("the atlas is %s", "mirrored, too" if mirror else "not symmetric: nothing is mirrored")
    objective = DetailObjective(model.to(fabric.device), atlas.to(fabric.device), settings, mirror)
    torch.manual_seed(settings.seed)
    network = new_network(settings, sets.train, objective, model_name)
    task = DetailTask(objective, sets, settings)
    run = TrainingRun(fabric, network, task, settings, folder)
    logger.info("%d faces to train on, %d to validate on", len(sets.train), len(sets.validation))
    best = run.train()
    if fabric.is_global_zero:
        write_outputs(outputs, run, best, network.spec, task, model_name)


def write_outputs(
    outputs: TrainingOutputs,
    run: TrainingRun,
    best: Path,
    spec: NetworkSpec,
    task: DetailTask,
    model_name: str,
) -> None:
    """Write what a finished training leaves; a run that was killed and went on leaves the same."""
    content = read_pickled(best)
    network = make_network(spec)
    network.load_state_dict(content["average"])
    network = network.to(run.fabric.device).eval()
    found = calibrate(network, task.objective, task.sets.validation, task.settings.validation_images)
    write_bytes(outputs.metrics, (run.folder / METRICS).read_bytes())
    drawn = draw_faces(network, task.objective, task.sets.validation, max(1, task.settings.pictures))
    with atomic_path(outputs.faces) as partial:
        Image.fromarray(drawn).save(partial)
    measured = task.validate(network)
    write_json(outputs.summary, {**run.summary(best), **found, **measured})
    notes = {"images": str(len(task.images)), "step": str(content["step"])}
    save_network(outputs.weights, network, model_name, task.objective.model.topology, notes)


def new_network(
    settings: TrainDetailSettings, faces: PackedFaces, objective: DetailObjective, model_name: str
) -> AnyDetailNetwork:
    """The network of the settings, its prior read from the faces; or `settings.start`.

    Raises:
        ConfigurationError: `start` holds another network than the settings ask for.
        FormatError: `start` is none, or for another model or atlas.
    """
    chosen, atlas = settings.network, objective.atlas
    spec = NetworkSpec(chosen.kind, atlas.size, atlas.window, chosen.limit, chosen.widths)
    if not settings.start:
        network = make_network(spec)
        if isinstance(network, DetailNetwork):
            network.prior.copy_(usual_scale(faces, objective, spec.prior_shape).log())
        return network
    network = load_network(settings.start, model_name, atlas.topology)
    check_window(settings.start, network.spec, atlas.size, atlas.window)
    if network.spec != spec:
        raise ConfigurationError(
            "train_detail.network is not that of the weights to start from",
            f"kind {network.spec.kind}, widths {network.spec.widths}, limit {network.spec.limit:g}",
            f"kind {spec.kind}, widths {spec.widths}, limit {spec.limit:g}",
            f"set train_detail.network to that of {settings.start}, or start from other weights",
        )
    return network.train()


def usual_scale(faces: PackedFaces, objective: DetailObjective, shape: tuple[int, int]) -> Tensor:
    """(rows, columns) mm: mean size of the objective's target over labelled faces, on a coarse map.

    Squares without a known texel have the mean of the others; without labels all are 0.1 mm.
    """
    labelled = np.flatnonzero(faces.labelled())
    if not len(labelled):
        return torch.full(shape, 0.1)
    total, count = torch.zeros(shape), torch.zeros(shape)
    for place in np.unique(np.linspace(0, len(labelled) - 1, PRIOR_FACES).round().astype(int)):
        batch = batch_from(collate([faces[int(labelled[place])]]), objective.atlas.mask.device)
        known = batch.known.float() * (objective.atlas.mask > 0)
        sizes = torch.stack((objective.target(batch).abs() * known, known), dim=1)
        pooled = adaptive_avg_pool2d(sizes, shape)[0].cpu()
        total, count = total + pooled[0], count + pooled[1]
    mean = float(total.sum() / count.sum().clamp(min=1e-9))
    return torch.where(count > 0, total / count.clamp(min=1e-9), mean).clamp(min=LEAST_SCALE)


def open_sets(files: TrainingFiles, settings: TrainDetailSettings) -> DetailSets:
    """Open the packed shards and check that there is something to learn.

    Raises:
        ConfigurationError: too few faces, or none to validate on.
        FormatError: a shard is not whole, or they do not fit together.
    """
    both = set(files.train) & set(files.validation)
    train = PackedFaces(files.train, without=files.held_out)
    validation = PackedFaces(files.validation, names=files.held_out, whole=files.only_validated)
    seen = bool(settings.validation and both and not len(validation))
    if seen:
        logger.warning("none of the faces is held out: validation is on the training faces themselves")
        validation = PackedFaces(files.validation)
    if len(train) < LEAST_FACES:
        raise ConfigurationError(
            f"train_detail.train: {len(train)} {'face is' if len(train) == 1 else 'faces are'} too few",
            f"at least {LEAST_FACES}, and some hundreds to learn from",
            f"{len(train)} in {len(files.train)} shards",
            "add photo sets or synthetic sets to train_detail.train",
        )
    if not len(validation):
        raise ConfigurationError(
            "train_detail.validation: there is no face to validate on",
            "a set, or held-out photos of the training sets",
            f"{len(files.validation)} shards without one",
            "name a set in train_detail.validation, or raise split_dataset.val_share",
        )
    return DetailSets(train, validation, seen)


def check_sets(sets: DetailSets, atlas: DetailAtlas, model: MorphableModel) -> None:
    """Refuse faces that were packed for another model or atlas.

    Raises:
        ConfigurationError: saying which.
    """
    for name, faces in (("train", sets.train), ("validation", sets.validation)):
        found = (*faces.window, faces.identity_count)
        expected = (atlas.size, *atlas.window, model.identity_count)
        if found != expected:
            raise ConfigurationError(
                f"train_detail.{name}: the faces were packed for another model or size",
                f"size, window and identity coefficients {expected}",
                str(found),
                "pack them again (pack_detail) with the model and the size of this run",
            )
