"""How much of a photograph's brightness comes from the relief that the detail network is asked for.

    python tests/benchmarks/brightness_of_relief.py FOLDER [FACES]

FOLDER is results/<run>/detail/<set>/pack_detail of a synthetic set of the embedded head. ln(photo / coarse
render), less its mean around (the square of `inputs.AROUND` texels), is what a face shows beside its coarse
shape; the light's response times the true slope is what the relief changes of it by shading alone. The rest
is paint, gloss, shadows, noise, and light that the coarse face does not know. Their correlation says how much
of the relief a photograph tells at a single texel. FACES (40) are evenly of the set.
"""

import itertools
import sys
from pathlib import Path

import torch
from torch import Tensor

from facemill.detail.atlas import DetailAtlas, prepare_detail_atlas
from facemill.detail.coarse_maps import LUMINANCE, coarse_maps, light_response
from facemill.detail.inputs import AROUND, DARKEST
from facemill.detail.local_mean import local_mean
from facemill.detail.losses.supervised import known_slopes
from facemill.detail.training.batches import DetailBatch, PackedFaces, batch_from, collate
from facemill.detail.training.objective import DetailObjective
from facemill.detail.training.validation import VISIBLE, spread
from facemill.detail.training_settings import TrainDetailSettings
from facemill.models.head import load_head
from facemill.models.morphable import MorphableModel
from facemill.runtime.devices import use_threads

ROOT = Path(__file__).resolve().parents[2]
BOUNDS = (0.0, 0.02, 0.05, 0.1, 0.2, 10.0)  # mm of displacement


def brightness(
    model: MorphableModel, atlas: DetailAtlas, batch: DetailBatch, target: Tensor
) -> tuple[Tensor, Tensor]:
    """(B, h, w) twice, as shares: what the photo shows, and what `target` (mm) does by shading."""
    maps = coarse_maps(model, atlas, batch.coefficients)
    grey = target.new_tensor(LUMINANCE)
    photo, render = ((colours @ grey).clamp(min=DARKEST).log() for colours in (batch.colours, maps.render))
    response = light_response(maps, 1.0)
    across, down = torch.gradient(target, dim=2)[0], torch.gradient(target, dim=1)[0]
    shading = response[..., 0] * across + response[..., 1] * down
    both = torch.stack((photo - render, shading), dim=-1)
    both = both - local_mean(both, batch.weight, AROUND)
    return both[..., 0], both[..., 1]


def main(folder: Path, count: int = 40) -> None:
    """Print a row for each size of the displacement, and one for all."""
    use_threads(1)
    model = load_head(ROOT / "resources" / "models" / "head.npz")
    atlas = prepare_detail_atlas(model.topology)
    objective = DetailObjective(model, atlas, TrainDetailSettings(), None)
    faces = PackedFaces(sorted(path for path in folder.iterdir() if path.is_dir()))
    sizes, shown, caused = [], [], []
    for number in spread(faces, count):
        batch = batch_from(collate([faces[number]]), torch.device("cpu"))
        target = objective.target(batch)
        chosen = (batch.weight > VISIBLE) & (atlas.mask > 0) & known_slopes(batch.known)
        photo, shading = brightness(model, atlas, batch, target)
        sizes.append(target[chosen].abs())
        shown.append(photo[chosen])
        caused.append(shading[chosen])
    size, photo, shading = (torch.cat(values).double() for values in (sizes, shown, caused))
    print(f"{len(sizes)} faces")
    print("| displacement, mm | texels | photo, rms | relief, rms | correlation |\n|---|---|---|---|---|")
    for low, high in (*itertools.pairwise(BOUNDS), (0.0, torch.inf)):
        part = (size >= low) & (size < high)
        pair = torch.stack((photo[part], shading[part]))
        shares = [f"{100 * float(value):.2f} %" for value in (part.double().mean(), *pair.std(dim=1))]
        print(f"| {low} to {high} | {' | '.join(shares)} | {float(torch.corrcoef(pair)[0, 1]):.2f} |")


if __name__ == "__main__":
    main(Path(sys.argv[1]), *map(int, sys.argv[2:]))
