"""The stage `train_implicit`: from captures with scans to weights."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import torch
from PIL import Image

from facemill.formats.checkpoints import read_pickled
from facemill.models.morphable import MorphableModel
from facemill.multiview.capture_files import CaptureFiles, open_captures
from facemill.multiview.implicit.files import load_network, save_network
from facemill.multiview.implicit.network import ImplicitNetwork
from facemill.multiview.implicit.settings import TrainImplicitSettings
from facemill.multiview.implicit.spec import PUBLISHED, ImplicitSpec
from facemill.multiview.implicit.training.captures import TrainingCapture, read_training_captures
from facemill.multiview.implicit.training.patches import WHOLE
from facemill.multiview.implicit.training.task import ImplicitTask
from facemill.multiview.implicit.training.validation import draw_bands
from facemill.runtime.errors import ConfigurationError
from facemill.runtime.files import atomic_path, write_bytes, write_json
from facemill.training.files import TrainingOutputs
from facemill.training.journal import METRICS
from facemill.training.run import TrainingRun, make_fabric

logger = logging.getLogger(__name__)


def train_implicit(
    train: Sequence[CaptureFiles],
    held: Sequence[CaptureFiles],
    model: MorphableModel,
    settings: TrainImplicitSettings,
    folder: str | Path,
    outputs: TrainingOutputs,
    device: torch.device,
) -> None:
    """Train a network, or go on with the training whose checkpoints are in `folder`.

    With `settings.processes` above 1 this process starts the others, which run the same script.

    Args:
        train: captures to learn from; those that are not `ok` or have no scan are left out. held: captures to
            validate on; none: validation is on the first training capture itself, and the summary says so.
        folder: for `last.pth`, `best.pth`, `metrics.csv`, TensorBoard's events, pictures.
    Raises:
        ConfigurationError: no capture to learn from, or `start` holds another network.
        FormatError: files of a capture, or `start`, are damaged.
        TrainingError: the loss is no number, or `folder` holds another training.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    fabric = make_fabric(settings, device)
    fabric.launch()
    captures = _read(train, model, settings)
    if not captures:
        raise ConfigurationError(
            "train_implicit.train: there is no capture to learn from",
            "captures that are `ok` and have a scan",
            f"{len(train)} captures, none of them with both",
            "name entries of `captures` with scans; the log says why each was left out",
        )
    judged = _read(held, model, settings)
    seen = not judged or bool({one.name for one in train} & {one.name for one in held})
    if not judged:
        logger.warning("no capture is held out: validation is on the first training capture")
        judged = captures[:1]
    torch.manual_seed(settings.seed)
    network = new_network(settings)
    margin = WHOLE if network.spec.kind == "published" else network.encoder.reach + 2
    task = ImplicitTask(network.spec, captures, judged, settings, margin, seen)
    logger.info("%d captures to train on, %d to validate on", len(captures), len(judged))
    run = TrainingRun(fabric, network, task, settings, folder)
    best = run.train()
    if fabric.is_global_zero:
        write_outputs(outputs, run, best, task)


def write_outputs(outputs: TrainingOutputs, run: TrainingRun, best: Path, task: ImplicitTask) -> None:
    """Write what a finished training leaves; a run that was killed and went on leaves the same."""
    content = read_pickled(best)
    network = ImplicitNetwork(task.spec)
    network.load_state_dict(content["average"])
    network = network.to(run.fabric.device).eval()
    write_bytes(outputs.metrics, (run.folder / METRICS).read_bytes())
    drawn = draw_bands(network, task.held, max(1, task.settings.pictures), task.margin)
    with atomic_path(outputs.faces) as partial:
        Image.fromarray(drawn).save(partial)
    write_json(outputs.summary, {**run.summary(best), **task.validate(network)})
    notes = {"captures": str(len(task.train)), "step": str(content["step"])}
    save_network(outputs.weights, network, notes)


def network_spec(settings: TrainImplicitSettings) -> ImplicitSpec:
    """The network that settings ask for.

    Raises:
        ConfigurationError: one that cannot be.
    """
    chosen = settings.network
    if chosen.kind == "published":
        return PUBLISHED
    try:
        return ImplicitSpec(
            chosen.kind, chosen.widths, chosen.features, chosen.hidden, chosen.aggregation, chosen.taps
        )
    except ValueError as error:
        raise ConfigurationError(
            "train_implicit.network cannot be built",
            "positive widths, an odd number of taps, and at least 3 for aggregation: visibility",
            str(error),
            "correct train_implicit.network",
        ) from error


def new_network(settings: TrainImplicitSettings) -> ImplicitNetwork:
    """The network of the settings, or `settings.start`.

    Raises:
        ConfigurationError: `start` holds another network than the settings ask for.
        FormatError: `start` is none.
    """
    spec = network_spec(settings)
    if not settings.start:
        return ImplicitNetwork(spec)
    network = load_network(settings.start)
    if network.spec != spec:
        raise ConfigurationError(
            "train_implicit.network is not that of the weights to start from",
            str(network.spec.as_text()),
            str(spec.as_text()),
            f"set train_implicit.network to that of {settings.start}, or start from other weights",
        )
    return network.train()


def _read(
    files: Sequence[CaptureFiles], model: MorphableModel, settings: TrainImplicitSettings
) -> list[TrainingCapture]:
    return read_training_captures(
        open_captures(files, model),
        len(settings.scale_shares),
        settings.finest,
        settings.most_views,
        settings.band,
    )
