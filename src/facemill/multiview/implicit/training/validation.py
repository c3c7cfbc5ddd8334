"""How well a matching network finds the surface on captures it was not trained on."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from facemill.multiview.implicit.localisation import localise
from facemill.multiview.implicit.network import ImplicitNetwork, Queries
from facemill.multiview.implicit.training.captures import TrainingCapture
from facemill.multiview.implicit.training.objective import peak_loss, score_loss
from facemill.multiview.implicit.training.patches import TrainingPatch, fixed_patch

REACH = 20  # steps to each side: 2 mm at a quarter of a millimetre per pixel
TEXELS = 96
SOFT = 2  # samples to each side of the maximum that its soft-argmax reads
GOOD = (0.1, 0.2)  # mm
MOST = 1.0  # mm that an error counts at most in the score
COARSE = 2  # halvings of the scale that is judged beside the finest
BAR = 3  # picture rows per texel


def validation_patches(
    captures: Sequence[TrainingCapture], network: ImplicitNetwork, count: int, halvings: int, margin: int
) -> list[TrainingPatch]:
    """`count` patches, the same for the same captures, evenly over them."""
    return [
        fixed_patch(
            captures[number % len(captures)], network.spec, halvings, REACH, TEXELS, 7919 * number + 1, margin
        )
        for number in range(count)
    ]


def validate(
    network: ImplicitNetwork, captures: Sequence[TrainingCapture], count: int, margin: int
) -> dict[str, float]:
    """Over texels whose truth lies in a band of 20 steps to each side of the base mesh.

    Returns:
        loss: peak and score; median and p90 (mm) of how far the found displacement lies off; within_0.1 and
        within_0.2: shares; robust: mean, at most 1 mm each; base_median, base_p90: of the base mesh; coarse:
        the median at two halvings, mm (compact only, a quarter of the patches).
    """
    fine = _errors(network, validation_patches(captures, network, count, 0, margin))
    found = {
        "loss": float(fine["loss"].mean()),
        "median": float(np.median(fine["error"])),
        "p90": float(np.quantile(fine["error"], 0.9)),
        **{f"within_{limit:g}": float((fine["error"] < limit).mean()) for limit in GOOD},
        "robust": float(np.minimum(fine["error"], MOST).mean()),
        "base_median": float(np.median(fine["base"])),
        "base_p90": float(np.quantile(fine["base"], 0.9)),
    }
    if network.spec.kind == "compact" and all(len(one.pictures) > COARSE for one in captures):
        patches = validation_patches(captures, network, max(1, count // 4), COARSE, margin)
        found["coarse"] = float(np.median(_errors(network, patches)["error"]))
    return found


def _errors(network: ImplicitNetwork, patches: Sequence[TrainingPatch]) -> dict[str, NDArray[np.float64]]:
    """loss (P,), error and base (T,) mm."""
    losses, errors, bases = [], [], []
    for patch in patches:
        with torch.inference_mode():
            logits, truth, inside = _scored(network, patch)
            if not bool(inside.any()):
                continue
            displacement = patch.queries.displacement[inside]
            logits, truth = logits[inside], truth[inside]
            step = float(displacement[0, 1] - displacement[0, 0])
            place = localise(logits, displacement[:, 0], step, SOFT)
            sigma = patch.scale.sigma
            loss = peak_loss(logits, displacement, truth, sigma)
            loss = loss + score_loss(logits, displacement, truth, sigma, False)
        losses.append(float(loss))
        errors.append((place - truth).abs().numpy())
        bases.append(truth.abs().numpy())
    if not errors:
        return {name: np.array([np.nan]) for name in ("loss", "error", "base")}
    return {
        "loss": np.array(losses),
        "error": np.concatenate(errors).astype(np.float64),
        "base": np.concatenate(bases).astype(np.float64),
    }


def _scored(
    network: ImplicitNetwork, patch: TrainingPatch
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """logits (T, D), truth (T,), and whether the truth lies in the band (T,); on the CPU."""
    device = next(network.parameters()).device
    (logits,) = network([moved_queries(patch, device)])
    displacement, truth = patch.queries.displacement, patch.truth
    inside = (truth > displacement[:, 0]) & (truth < displacement[:, -1])
    return logits.cpu(), truth, inside


def moved_queries(patch: TrainingPatch, device: torch.device) -> Queries:
    """The queries of a patch on another device."""
    queries = patch.queries
    return queries._replace(
        pictures=[picture.to(device) for picture in queries.pictures],
        matrices=[matrix.to(device) for matrix in queries.matrices],
        places=queries.places.to(device),
        displacement=queries.displacement.to(device),
        taps=queries.taps.to(device),
    )


def draw_bands(
    network: ImplicitNetwork, captures: Sequence[TrainingCapture], count: int, margin: int
) -> NDArray[np.uint8]:
    """A sheet of patches side by side: a row per texel, sorted by truth, its scores from -2 to 2 mm.

    Brightness is the score, relative to the highest of the texel; red the truth, green what was found.
    """
    columns = []
    for patch in validation_patches(captures, network, count, 0, margin):
        with torch.inference_mode():
            logits, truth, _ = _scored(network, patch)
            displacement = patch.queries.displacement
            step = float(displacement[0, 1] - displacement[0, 0])
            place = localise(logits, displacement[:, 0], step, SOFT)
            scores = torch.sigmoid(logits)
        order = torch.argsort(truth)
        shades = (scores / scores.amax(dim=1, keepdim=True).clamp(min=0.05))[order]
        grey = (255 * shades.numpy()).astype(np.uint8).repeat(BAR, axis=0).repeat(4, axis=1)
        picture = np.stack((grey, grey, grey), axis=-1)
        for values, colour in ((truth[order], (255, 40, 40)), (place[order], (40, 255, 40))):
            at = ((values - displacement[0, 0]) / step * 4 + 2).round().int().clamp(0, picture.shape[1] - 1)
            for row, place_at in enumerate(at.tolist()):
                picture[row * BAR : (row + 1) * BAR, place_at] = colour
        column = np.full((BAR * TEXELS, picture.shape[1] + 6, 3), 255, dtype=np.uint8)
        column[: len(picture), : picture.shape[1]] = picture
        columns.append(column)
    return np.concatenate(columns, axis=1)
