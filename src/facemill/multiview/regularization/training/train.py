"""The stage `train_regularizer`: from matches of captures with scans to weights."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from facemill.formats.checkpoints import read_pickled
from facemill.formats.surface_maps import read_surface_map
from facemill.models.morphable import MorphableModel
from facemill.multiview.capture_files import CaptureFiles, open_captures
from facemill.multiview.regularization.classical import classical_surface
from facemill.multiview.regularization.combined_matches import SOURCES, CombinedMatches, combine_matches
from facemill.multiview.regularization.evidence import evidence_of
from facemill.multiview.regularization.network_files import load_regularizer, save_regularizer
from facemill.multiview.regularization.networks import AnyRegularizer, make_regularizer
from facemill.multiview.regularization.robust_surface import RobustSurface
from facemill.multiview.regularization.settings import SurfaceSettings, TrainRegularizerSettings
from facemill.multiview.regularization.spec import DEFAULTS, RegularizerSpec
from facemill.multiview.regularization.training.patches import FacePatches, TrainingFace, training_face
from facemill.multiview.regularization.training.task import RegularizerTask
from facemill.multiview.texel_grid import TexelGrid
from facemill.runtime.errors import ConfigurationError
from facemill.runtime.files import atomic_path, load_arrays, save_arrays, write_bytes, write_json
from facemill.training.files import TrainingOutputs
from facemill.training.journal import METRICS
from facemill.training.run import TrainingRun, make_fabric

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class MatchedCaptures:
    """captures: their files. classical, implicit: matches.npz and volume.npz of each."""

    captures: Sequence[CaptureFiles]
    classical: Sequence[str | Path]
    implicit: Sequence[str | Path]


def train_regularizer(
    train: MatchedCaptures,
    held: MatchedCaptures,
    model: MorphableModel,
    settings: TrainRegularizerSettings,
    folder: str | Path,
    outputs: TrainingOutputs,
    device: torch.device,
) -> None:
    """Train a network, or go on with the training whose checkpoints are in `folder`.

    The classical surfaces it starts from are made once and kept in `folder/surfaces`.

    Raises:
        ConfigurationError: no capture with a scan and matches, or `start` is another network.
        FormatError: files of a capture are missing or damaged.
        TrainingError: the loss is no number, or `folder` holds another training.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    fabric = make_fabric(settings, device)
    fabric.launch()
    faces = open_faces(train, model, settings, folder)
    held_faces = open_faces(held, model, settings, folder)
    if not faces:
        raise ConfigurationError(
            "train_regularizer.train: there is nothing to learn from",
            "captures with a scan whose surface was matched",
            f"{len(train.captures)} captures, none of them such",
            "add synthetic captures to train_regularizer.train; the log says why each was left out",
        )
    spec = spec_of(settings, faces)
    torch.manual_seed(settings.seed)
    network = new_network(settings, spec).to(fabric.device)
    patches = FacePatches(faces, spec, settings.patch, settings.patches, settings.augmentation, settings.seed)
    task = RegularizerTask(patches, held_faces, settings, _digest_of(faces))
    run = TrainingRun(fabric, network, task, settings, folder)
    logger.info("%d maps to train on, %d to validate on", len(faces), len(held_faces))
    best = run.train()
    if fabric.is_global_zero:
        write_outputs(outputs, run, best, task)


def write_outputs(outputs: TrainingOutputs, run: TrainingRun, best: Path, task: RegularizerTask) -> None:
    """Write what a finished training leaves; a run that was killed and went on leaves the same."""
    content = read_pickled(best)
    network = make_regularizer(task.images.spec)
    network.load_state_dict(content["average"])
    network = network.to(run.fabric.device).eval()
    write_bytes(outputs.metrics, (run.folder / METRICS).read_bytes())
    with atomic_path(outputs.faces) as partial:
        Image.fromarray(run.faces()).save(partial)
    write_json(outputs.summary, {**run.summary(best), **task.validate(network)})
    notes = {"captures": str(task.summary()["captures"]), "step": str(content["step"])}
    save_regularizer(outputs.weights, network, notes)


def open_faces(
    files: MatchedCaptures, model: MorphableModel, settings: TrainRegularizerSettings, folder: Path
) -> list[TrainingFace]:
    """Captures with truth and matches; where the implicit matcher has a map, and is to be asked first, each
    comes twice: with its matches, and with those of the classical matcher alone."""
    paths = {
        one.name: {"classical": classical, "implicit": implicit}
        for one, classical, implicit in zip(files.captures, files.classical, files.implicit, strict=True)
    }
    faces = []
    for fitted, grid in open_captures(files.captures, model):
        found = {name: read_surface_map(path) for name, path in paths[fitted.name].items()}
        if grid.truth is None or not np.isfinite(grid.truth[grid.mask]).any():
            logger.warning("%s is left out: it has no scan", fitted.name)
            continue
        seen = set()
        for matcher in dict.fromkeys((settings.choice.matcher, "classical")):
            matches = combine_matches(found, settings.choice.model_copy(update={"matcher": matcher}))
            if isinstance(matches, tuple):
                logger.warning("%s is left out: %s: %s", fitted.name, *matches)
                break
            alone = matches if matcher != "classical" else _without_implicit(matches)
            if alone.matcher in seen:
                continue
            seen.add(alone.matcher)
            surface = start_surface(folder / "surfaces", fitted.name, grid, alone, settings.surface)
            faces.append(training_face(fitted.name, grid, evidence_of(grid, alone, surface)))
    return faces


def start_surface(
    folder: Path, name: str, grid: TexelGrid, matches: CombinedMatches, settings: SurfaceSettings
) -> RobustSurface:
    """The classical surface of a capture, from `folder` where it was made before."""
    digest = hashlib.sha256(settings.model_dump_json().encode())
    for values in (
        matches.displacement,
        matches.confidence,
        grid.position,
        grid.rounding,
        grid.deviation,
        grid.mask,
    ):
        digest.update(np.ascontiguousarray(values).tobytes())
    path = folder / f"{name}-{digest.hexdigest()[:12]}.npz"
    if path.is_file():
        arrays = load_arrays(path, required=("displacement", "confidence", "kept"))
        return RobustSurface(arrays["displacement"], arrays["confidence"], arrays["kept"])
    found = classical_surface(grid, matches.displacement, matches.confidence, settings)
    save_arrays(
        path, {"displacement": found.displacement, "confidence": found.confidence, "kept": found.kept}
    )
    return found


def spec_of(settings: TrainRegularizerSettings, faces: Sequence[TrainingFace]) -> RegularizerSpec:
    """The network of the settings, for the matchers whose scores the captures have."""
    chosen = settings.network
    given = {name for face in faces for name in face.evidence.bands}
    matchers = tuple(name for name in SOURCES if name in given)
    samples, step, widths = DEFAULTS[chosen.kind]
    return RegularizerSpec(
        chosen.kind, chosen.samples or samples, chosen.step or step, chosen.widths or widths, matchers
    )


def new_network(settings: TrainRegularizerSettings, spec: RegularizerSpec) -> AnyRegularizer:
    """A network of random weights, or that of `settings.start`.

    Raises:
        ConfigurationError: `start` holds another network than the settings ask for.
        FormatError: `start` is no regulariser.
    """
    if not settings.start:
        return make_regularizer(spec)
    network = load_regularizer(settings.start)
    if network.spec != spec:
        raise ConfigurationError(
            "train_regularizer.network is not that of the weights to start from",
            str(network.spec),
            str(spec),
            f"set train_regularizer.network to that of {settings.start}, or start from other weights",
        )
    return network.train()


def _without_implicit(matches: CombinedMatches) -> CombinedMatches:
    """Matches of the classical matcher with its scores alone, where it has a map."""
    if "classical" not in matches.maps:
        return matches
    surface = matches.maps["classical"]
    known = surface.known & np.isfinite(surface.displacement)
    return CombinedMatches(
        np.where(known, surface.displacement, np.nan).astype(np.float32),
        np.where(known, surface.confidence, 0).astype(np.float32),
        np.where(known, SOURCES["classical"], 0).astype(np.uint8),
        {"classical": surface},
    )


def _digest_of(faces: Sequence[TrainingFace]) -> str:
    """Tells sets of captures and their matches apart."""
    total = hashlib.sha256()
    for face in faces:
        total.update(face.name.encode())
        total.update(np.ascontiguousarray(face.evidence.matched).tobytes())
    return total.hexdigest()[:12]
