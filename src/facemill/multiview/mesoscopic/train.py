"""The stage `train_mesoscopic`: from textures and surfaces of captures with scans to weights."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from facemill.formats.checkpoints import read_pickled
from facemill.models.morphable import MorphableModel
from facemill.multiview.mesoscopic.compact_network import CompactNetwork
from facemill.multiview.mesoscopic.examples import (
    RELIEF,
    CaptureSource,
    OpenedCapture,
    example_file,
    open_source,
)
from facemill.multiview.mesoscopic.network_files import (
    AnyMesoscopicNetwork,
    load_network,
    make_network,
    save_network,
)
from facemill.multiview.mesoscopic.patches import PatchSet
from facemill.multiview.mesoscopic.settings import TrainMesoscopicSettings
from facemill.multiview.mesoscopic.spec import MesoscopicSpec
from facemill.multiview.mesoscopic.task import MesoscopicTask
from facemill.multiview.mesoscopic.trainee import MesoscopicTrainee, make_discriminator
from facemill.multiview.mesoscopic.validation import calibrate, draw_captures
from facemill.runtime.errors import ConfigurationError
from facemill.runtime.files import atomic_path, write_bytes, write_json
from facemill.training.files import TrainingOutputs
from facemill.training.journal import METRICS
from facemill.training.run import TrainingRun, make_fabric

EXAMPLES = "examples"
LEAST_PRIOR = 0.005  # mm

logger = logging.getLogger(__name__)


def train_mesoscopic(
    sources: Sequence[CaptureSource],
    held_sources: Sequence[CaptureSource],
    model: MorphableModel,
    settings: TrainMesoscopicSettings,
    folder: str | Path,
    outputs: TrainingOutputs,
    device: torch.device,
) -> None:
    """Train a network, or go on with the training whose checkpoints are in `folder`.

    With `settings.processes` above 1 this process starts the others, which run the same script.

    Args:
        folder: for `last.pth`, `best.pth`, `metrics.csv`, TensorBoard's events, pictures, and the examples
            that are made of the captures.
    Raises:
        ConfigurationError: no capture to train on or to validate on, textures of several sizes, or `start`
            holds another network.
        FormatError: a file is missing or damaged.
        TrainingError: the loss is no number, or `folder` holds another training.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    fabric = make_fabric(settings, device)
    fabric.launch()
    if fabric.is_global_zero:
        for source in sources:
            example_file(source, model, folder / EXAMPLES)
    fabric.barrier()
    made = [(source.files.name, example_file(source, model, folder / EXAMPLES)) for source in sources]
    usable = [(name, path) for name, path in made if path is not None]
    patches = PatchSet(
        [path for _, path in usable],
        [name for name, _ in usable],
        settings.patch,
        settings.stride,
        settings.seed,
    )
    held = [one for one in (open_source(source, model) for source in held_sources) if one is not None]
    check_sets(patches, held)
    torch.manual_seed(settings.seed)
    network = new_trainee(
        settings, patches, held[0].maps.grid.size, float(np.nanmedian([one.maps.pixel for one in held]))
    )
    task = MesoscopicTask(patches, held, settings)
    run = TrainingRun(fabric, network, task, settings, folder)
    logger.info(
        "%d patches of %d captures to train on, %d to validate on", len(patches), len(usable), len(held)
    )
    best = run.train()
    if fabric.is_global_zero:
        write_outputs(outputs, run, best, network.generator.spec, task)


def write_outputs(
    outputs: TrainingOutputs, run: TrainingRun, best: Path, spec: MesoscopicSpec, task: MesoscopicTask
) -> None:
    """Write what a finished training leaves; a run that was killed and went on leaves the same."""
    content = read_pickled(best)
    network = make_network(spec)
    own = {
        name.removeprefix("generator."): value
        for name, value in content["average"].items()
        if name.startswith("generator.")
    }
    network.load_state_dict(own)
    network = network.to(run.fabric.device).eval()
    held = task.held[: task.settings.validation_images]
    found = calibrate(network, held)
    write_bytes(outputs.metrics, (run.folder / METRICS).read_bytes())
    drawn = draw_captures(network, held[: max(1, task.settings.pictures)])
    with atomic_path(outputs.faces) as partial:
        Image.fromarray(drawn).save(partial, format="PNG")
    measured = task.validate(MesoscopicTrainee(network, None))
    write_json(outputs.summary, {**run.summary(best), **found, **measured})
    notes = {"patches": str(len(task.images)), "step": str(content["step"])}
    save_network(outputs.weights, network, notes)


def new_trainee(
    settings: TrainMesoscopicSettings, patches: PatchSet, size: int, pixel: float
) -> MesoscopicTrainee:
    """The network of the settings, its prior read from the examples, or `settings.start`; and its judge.

    Args:
        size: texels along each side of the textures. pixel: mm that a pixel of the photos covers.

    Raises:
        ConfigurationError: `start` holds another network than the settings ask for.
        FormatError: `start` is none.
    """
    chosen = settings.network
    spec = MesoscopicSpec(
        chosen.kind,
        size,
        chosen.limit,
        chosen.widths,
        chosen.base_width,
        chosen.halvings,
        chosen.blocks,
        pixel if np.isfinite(pixel) else 0.0,
    )
    generator: AnyMesoscopicNetwork
    if settings.start:
        generator = load_network(settings.start).train()
        if replace(generator.spec, pixel=spec.pixel) != spec:
            raise ConfigurationError(
                "train_mesoscopic.network is not that of the weights to start from",
                str(generator.spec.as_text()),
                str(spec.as_text()),
                f"set train_mesoscopic.network to that of {settings.start}, or start from other weights",
            )
        generator.spec = spec
    else:
        generator = make_network(spec)
        if isinstance(generator, CompactNetwork):
            generator.prior.fill_(float(np.log(usual_relief(patches))))
    adversarial = settings.weights.adversarial > 0
    return MesoscopicTrainee(generator, make_discriminator(settings.discriminator) if adversarial else None)


def usual_relief(patches: PatchSet) -> float:
    """Mean size of the relief that is to be found, mm."""
    sizes = [np.abs(np.asarray(array[RELIEF, ::4, ::4], dtype=np.float32)) for array in patches.arrays]
    known = np.concatenate([size[np.isfinite(size)] for size in sizes])
    return max(LEAST_PRIOR, float(known.mean())) if known.size else LEAST_PRIOR


def check_sets(patches: PatchSet, held: Sequence[OpenedCapture]) -> None:
    """Refuse a training without captures, or with textures of several sizes.

    Raises:
        ConfigurationError: saying which.
    """
    if not len(patches):
        raise ConfigurationError(
            "train_mesoscopic.train: there is nothing to train on",
            "captures with a regularised surface, a texture, and a scan or a displacement map",
            f"{len(patches.arrays)} usable captures, no patch that shows enough of a face",
            "add captures with scans to train_mesoscopic.train; the log says why others are left out",
        )
    if not held:
        raise ConfigurationError(
            "train_mesoscopic.validation: there is no capture to validate on",
            "at least one capture with a scan",
            "none",
            "name an entry of captures in train_mesoscopic.validation",
        )
    sizes = {one.maps.grid.size for one in held}
    if len(sizes) > 1:
        raise ConfigurationError(
            "train_mesoscopic: textures of several sizes",
            "one size of blend_texture for all captures",
            ", ".join(map(str, sorted(sizes))),
            "blend the textures again with one size",
        )
