"""One training run: steps, checkpoints, validation; goes on where it stopped, to the last bit on a CPU."""

from __future__ import annotations

import copy
import logging
import math
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning.fabric import Fabric
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import DataLoader
from tqdm import tqdm

from facemill.formats.checkpoints import read_pickled, write_pickled
from facemill.runtime.errors import FacemillError
from facemill.runtime.files import save_arrays
from facemill.runtime.locks import lock_folder
from facemill.runtime.storage import StorageError
from facemill.training.checkpoints import (
    BEST,
    CHECKPOINT,
    forget_before,
    good_checkpoint,
    require_best,
    write_last,
)
from facemill.training.journal import Journal
from facemill.training.settings import TrainerSettings
from facemill.training.stopping import STOPPED, Stop, stop_on_sigterm
from facemill.training.synchronised_norm import synchronise_norms
from facemill.training.task import StepLoss, TrainingTask

FORMAT = "facemill-training-1"
PRECISIONS = {"32": "32-true", "bf16": "bf16-mixed", "16": "16-mixed"}

logger = logging.getLogger(__name__)


class TrainingError(FacemillError):
    """A training that cannot go on."""


@dataclass
class _State:
    """What a checkpoint holds, beside the step."""

    network: nn.Module
    optimiser: torch.optim.Optimizer
    average: nn.Module
    best: float


class TrainingRun:
    """Trains a network; see `train`.

    Args:
        fabric: launched; its processes share each batch.
        task: the images, the loss and the judge of a stage.
        folder: of checkpoints, logs and pictures; a run that finds checkpoints there goes on from them.
        norms_frozen: keep the statistics of the batch norms.
    """

    def __init__(
        self,
        fabric: Fabric,
        network: nn.Module,
        task: TrainingTask,
        settings: TrainerSettings,
        folder: Path,
        norms_frozen: bool = False,
    ) -> None:
        self.fabric, self.task, self.settings, self.folder = fabric, task, settings, folder
        average = copy.deepcopy(network)
        average.to(fabric.device).eval().requires_grad_(False)
        if fabric.world_size > 1:
            synchronise_norms(network)
        network.to(memory_format=_layout(network))  # type: ignore[call-overload]
        self.network = network
        optimiser = torch.optim.AdamW(
            (p for p in network.parameters() if p.requires_grad),
            lr=settings.learning_rate,
            weight_decay=settings.weight_decay,
        )
        wrapped, prepared = fabric.setup(network, optimiser)
        if norms_frozen:
            freeze_norms(wrapped)
        self.state = _State(wrapped, prepared, average, math.inf)
        self.steps = math.ceil(settings.epochs * len(task.images) / settings.batch)

    def train(self) -> Path:
        """Run to the end; returns the checkpoint with the best validated mean of the weights.

        SIGTERM ends the process after its step, with a checkpoint and exit code 143.

        Raises:
            TrainingError: the loss is no number (its batch lies in `bad_batch.npz`), or the checkpoints
                belong to another run.
            FolderInUseError: another process trains in the folder.
            FormatError: there are checkpoints and none is whole, or the best is not.
            StorageError: the best or the last weights cannot be written.
        """
        with stop_on_sigterm() as stop, self._folder():
            self._train(stop)
        return self.folder / (BEST if (self.folder / BEST).is_file() else CHECKPOINT)

    def _folder(self) -> AbstractContextManager[object]:
        """The folder, kept from other trainings; one process does it for all."""
        return lock_folder(self.folder) if self.fabric.is_global_zero else nullcontext()

    def _train(self, stop: Stop) -> None:
        first = self._resume()
        journal = Journal(self.folder, first) if self.fabric.is_global_zero else None
        loader = self._loader(first)
        bar = tqdm(total=self.steps, initial=first, unit="step", disable=journal is None, mininterval=5)
        if self.task.validated_first and not first:
            self._validate(0, journal)
        clock, since = time.perf_counter(), first
        for step, stored in enumerate(loader, start=first + 1):
            loss = self._step(step, stored)
            if journal and (step % self.settings.log_interval == 0 or step == self.steps):
                now = time.perf_counter()
                speed = (step - since) * self.settings.batch / max(now - clock, 1e-9)
                clock, since = now, step
                journal.write("train", step, self._epoch(step), _numbers(loss), speed)
                bar.set_postfix(loss=f"{float(loss.loss):.4g}", refresh=False)
            bar.update()
            if step % self.settings.validation_interval == 0 or step == self.steps:
                self._validate(step, journal)
                clock, since = time.perf_counter(), step
            stopped = stop.asked(self.fabric)
            if stopped or step % self.settings.checkpoint_interval == 0 or step == self.steps:
                if journal:  # first: rows beyond the checkpoint are dropped when a run goes on
                    journal.flush()
                self._save(step, CHECKPOINT)
            if stopped and step < self.steps:
                logger.warning("ended by SIGTERM after step %d of %d: start again to go on", step, self.steps)
                raise SystemExit(STOPPED)
        bar.close()
        if journal:
            journal.close()
            forget_before(self.folder)

    def faces(self) -> NDArray[np.uint8]:
        """Some images to validate on, drawn with the last mean of the weights; at least one."""
        drawn = self.task.picture(self.state.average, least=1)
        if drawn is None:
            raise RuntimeError(f"{self.task.rule}: there is no image to draw")
        return drawn

    def summary(self, best: Path) -> dict[str, Any]:
        """How long the training was, on how many images, and how good its best weights are."""
        return {
            "steps": self.steps,
            "images": len(self.task.images),
            **self.task.summary(),
            "best": None if math.isinf(self.state.best) else self.state.best,
            "weights": best.name,
        }

    def _step(self, step: int, stored: Mapping[str, Tensor]) -> StepLoss:
        for group in self.state.optimiser.param_groups:
            group["lr"] = self.settings.learning_rate * self.rate(step)
        loss = self.task.loss(self.state.network, stored, step, self.fabric.device)
        everywhere = self.fabric.all_reduce(loss.loss.detach(), reduce_op="mean")
        if not bool(torch.isfinite(torch.as_tensor(everywhere))):
            self._give_up(step, stored, loss)
        self.state.optimiser.zero_grad()
        self.fabric.backward(loss.loss)
        self.fabric.clip_gradients(
            self.state.network, self.state.optimiser, max_norm=self.settings.clip_gradient
        )
        self.state.optimiser.step()
        self._average(step)
        return StepLoss(torch.as_tensor(everywhere), self._reduced(loss.terms))

    def rate(self, step: int) -> float:
        """Learning rate of a step as a share of the first."""
        settings = self.settings
        warm = min(1.0, step / settings.warmup_steps) if settings.warmup_steps else 1.0
        if settings.schedule == "cosine":
            return warm * 0.5 * (1 + math.cos(math.pi * (step - 1) / self.steps))
        return float(warm * 0.2 ** int(self._epoch(step - 1) / settings.decay_epochs))

    def _epoch(self, step: int) -> float:
        return step * self.settings.batch / len(self.task.images)

    def _loader(self, first: int) -> DataLoader:
        fabric = self.fabric
        return DataLoader(
            self.task.images,
            batch_sampler=self.task.order(first, self.steps, fabric.global_rank, fabric.world_size),
            collate_fn=self.task.collate,
            num_workers=self.settings.workers,
            pin_memory=fabric.device.type == "cuda",
        )

    def _average(self, step: int) -> None:
        """Running mean of weights and norms; young means forget faster, so that they start at once."""
        decay = min(self.settings.average, step / (step + 10))
        source = self.network.state_dict()
        with torch.no_grad():
            for name, mean in self.state.average.state_dict().items():
                if mean.is_floating_point():
                    mean.lerp_(source[name], 1 - decay)
                else:
                    mean.copy_(source[name])

    def _validate(self, step: int, journal: Journal | None) -> None:
        """Judge the mean of the weights; only the first process does, the others wait at the next step."""
        if journal is None:
            return
        measured = self.task.validate(self.state.average)
        journal.write("validation", step, self._epoch(step), measured)
        drawn = self.task.picture(self.state.average)
        if drawn is not None:
            journal.show(step, drawn)
        logger.info("step %d of %d: %s", step, self.steps, _line(measured))
        score = self.task.score(measured)
        if score < self.state.best:
            self.state.best = score
            self._save(step, BEST)

    def _save(self, step: int, name: str) -> None:
        """Write a checkpoint; a full disk may cost one on the way, never the one before, never a result."""
        if not self.fabric.is_global_zero:
            return
        content = {
            "format": FORMAT,
            "step": step,
            "best": self.state.best,
            "settings": self.task.fingerprint(),
            self.task.weights_key: self.network.state_dict(),
            "average": self.state.average.state_dict(),
            "optimiser": self.state.optimiser.state_dict(),
        }
        try:
            if name == BEST:
                write_pickled(self.folder / BEST, content)
            else:
                write_last(self.folder, content)
        except StorageError as error:
            if name == BEST or step == self.steps:
                raise
            logger.error("step %d: %s; the checkpoint before stays", step, error.sentence)

    def _resume(self) -> int:
        """Load the newest good checkpoint if there is one; returns its step."""
        chosen = good_checkpoint(self.folder) if self.fabric.is_global_zero else None
        chosen = self.fabric.broadcast(chosen)
        if chosen is None:
            return 0
        path = self.folder / chosen
        content = read_pickled(path)
        if content.get("format") != FORMAT or content.get("settings") != self.task.fingerprint():
            raise TrainingError(
                f"{path} belongs to another training",
                "a checkpoint of this training: same network, images, batch, seed and weights of the loss",
                str(content.get("settings", sorted(content))),
                "delete the folder to start anew, or give the settings it was begun with",
            )
        require_best(self.folder, int(content["step"]))
        self.network.load_state_dict(content[self.task.weights_key])
        self.state.average.load_state_dict(content["average"])
        self.state.optimiser.load_state_dict(content["optimiser"])
        self.state.best = float(content["best"])
        logger.info("going on after step %d of %s", content["step"], path)
        return int(content["step"])

    def _give_up(self, step: int, stored: Mapping[str, Tensor], loss: StepLoss) -> None:
        arrays, names = self.task.bad_batch(stored, step, self.fabric.device)
        path = self.folder / f"bad_batch_{self.fabric.global_rank}.npz"
        save_arrays(path, {**arrays, "photo": np.array(names)})
        raise TrainingError(
            f"the loss of step {step} is no number",
            "a finite loss",
            _line({name: float(value) for name, value in loss.terms.items()}),
            f"look at the batch in {path} (photos {', '.join(names[:4])}, …); a smaller "
            f"{self.task.rule}.learning_rate or precision: 32 helps when the images are sound",
        )

    def _reduced(self, terms: Mapping[str, Tensor]) -> dict[str, Tensor]:
        if self.fabric.world_size == 1:
            return dict(terms)
        return {n: torch.as_tensor(self.fabric.all_reduce(v, reduce_op="mean")) for n, v in terms.items()}


def freeze_norms(network: nn.Module) -> None:
    """Let batch norms use the statistics they have, and keep them; their weights stay trainable."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()


def _layout(network: nn.Module) -> torch.memory_format:
    """Channels last, which is fastest; torch has one such layout for images and one for volumes."""
    volumes = any(isinstance(module, nn.Conv3d) for module in network.modules())
    return torch.channels_last_3d if volumes else torch.channels_last


def make_fabric(settings: TrainerSettings, device: torch.device) -> Fabric:
    """Lightning's Fabric for the processes and the precision of the settings; not launched."""
    cuda = device.type == "cuda"
    precision = settings.precision
    if precision == "auto":
        precision = ("bf16" if torch.cuda.is_bf16_supported() else "16") if cuda else "32"
    many = settings.processes * settings.nodes > 1
    return Fabric(
        accelerator="cuda" if cuda else "cpu",
        devices=settings.processes,
        num_nodes=settings.nodes,
        strategy="ddp" if many else "auto",
        precision=PRECISIONS[precision],  # type: ignore[arg-type]
    )


def _numbers(loss: StepLoss) -> dict[str, float]:
    return {"loss": float(loss.loss), **{name: float(value) for name, value in loss.terms.items()}}


def _line(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value:.4g}" for name, value in values.items())
