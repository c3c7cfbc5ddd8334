"""Generator and discriminator as one module: what the shared trainer trains, keeps and goes on with.

The shared trainer has one network and one optimiser. An adversarial training fits into that without a second
one: the loss of a step is the sum of the generator's and the discriminator's, and each is computed so that it
has gradients for its own weights alone: the discriminator judges found relief without its history, and the
generator is judged by a discriminator whose weights are constants. Adam works weight by weight, so one Adam
over both is two Adams. pix2pixHD, too, computes both losses from one pass of the generator. So checkpoints,
resuming to the same bytes, several processes and the mean of the weights work as for every other training.
(Gradient reversal would be simpler still, but its generator descends the discriminator's own loss, which for
least squares is not the generator's, (D - 1)^2, and vanishes where D says 0.)
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.func import functional_call

from facemill.multiview.mesoscopic.discriminator import (
    MultiscaleDiscriminator,
    feature_distance,
    verdict_distance,
)
from facemill.multiview.mesoscopic.examples import RELIEF, ZONE
from facemill.multiview.mesoscopic.network_files import AnyMesoscopicNetwork
from facemill.multiview.mesoscopic.settings import DiscriminatorSettings
from facemill.multiview.mesoscopic.spec import INPUT_CHANNELS, channels

#: What the discriminator sees beside a relief, and factors that bring it to about 1.
CONDITION = {"contrast": 10.0, "bump": 20.0}
RELIEF_GAIN = 20.0
JUDGED_CHANNELS = 3 + 1 + 1


class MesoscopicTrainee(nn.Module):
    """A generator, and a discriminator when the training is adversarial."""

    def __init__(
        self, generator: AnyMesoscopicNetwork, discriminator: MultiscaleDiscriminator | None
    ) -> None:
        super().__init__()
        self.generator = generator
        self.discriminator = discriminator

    def forward(self, example: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Output of the generator (B, 1 or 2, h, w) for examples (B, 19, h, w), and the adversarial terms.

        adversarial: what the generator lacks to be taken for true; matching: distance between the features of
        found and true relief; discriminator: its own loss. None without a discriminator.
        """
        output = self.generator(example[:, :INPUT_CHANNELS])
        if self.discriminator is None:
            return output, {}
        found = judged(example, output[:, 0])
        true = judged(example, torch.nan_to_num(example[:, RELIEF]))
        judge = self.discriminator
        on_true, on_found = judge(true), judge(found.detach())
        own = 0.5 * (verdict_distance(on_true, 1.0) + verdict_distance(on_found, 0.0))
        constants = {name: value.detach() for name, value in judge.named_parameters()}
        against = functional_call(judge, constants, (found,))
        return output, {
            "adversarial": verdict_distance(against, 1.0),
            "matching": feature_distance(against, on_true),
            "discriminator": own,
        }


def make_discriminator(settings: DiscriminatorSettings) -> MultiscaleDiscriminator:
    """A new discriminator, weights drawn from torch's generator."""
    return MultiscaleDiscriminator(JUDGED_CHANNELS, settings.width, settings.layers, settings.scales)


def judged(example: Tensor, relief: Tensor) -> Tensor:
    """(B, 5, h, w) what the discriminator sees; 0 where the truth is unknown."""
    known = (torch.isfinite(example[:, RELIEF]) & (example[:, ZONE] > 0))[:, None]
    parts = [example[:, channels(name)] * gain for name, gain in CONDITION.items()]
    parts.append(relief[:, None] * RELIEF_GAIN)
    return torch.cat(parts, dim=1) * known
