"""The network of MVFR's mesoscopic stage: the global generator of pix2pixHD (Wang et al., CVPR 2018).

Built from the paper's description (appendix: c7s1-64, d128, d256, d512, d1024, nine R1024, u512, u256, u128,
u64, c7s1-1), in one sequence called `model`, so that the places of its layers are those of the published
weights: 1 the first convolution; 4, 7, 10, 13 those that halve; 16..24 residual blocks, whose convolutions
are `conv_block` 1 and 5; 25, 28, 31, 34 those that double; 38 the last.
"""

from __future__ import annotations

from torch import Tensor, nn

from facemill.multiview.mesoscopic.spec import INPUT_CHANNELS, MesoscopicSpec, channels


class _ResidualBlock(nn.Module):
    """x + norm(conv(relu(norm(conv(x))))), 3 x 3, the border mirrored."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv_block = nn.Sequential(
            nn.ReflectionPad2d(1),
            nn.Conv2d(width, width, 3),
            nn.InstanceNorm2d(width),
            nn.ReLU(inplace=True),
            nn.ReflectionPad2d(1),
            nn.Conv2d(width, width, 3),
            nn.InstanceNorm2d(width),
        )

    def forward(self, values: Tensor) -> Tensor:
        return values + self.conv_block(values)


class PublishedNetwork(nn.Module):
    """Maps (B, C, h, w) of `spec.INPUTS` to a relief (B, 1, h, w), millimetres.

    It reads the colours alone, as 2 x colour - 1; tanh = 1 stands for `spec.limit` mm. Its norms (of
    instances, without weights) make every texel depend on the whole map: it is never tiled.
    """

    def __init__(self, spec: MesoscopicSpec) -> None:
        super().__init__()
        if spec.kind != "published":
            raise ValueError(f"spec.kind: expected published, found {spec.kind}")
        self.spec = spec
        width = spec.base_width
        layers: list[nn.Module] = [nn.ReflectionPad2d(3), nn.Conv2d(3, width, 7), *_after(width)]
        for _ in range(spec.halvings):
            layers += [nn.Conv2d(width, 2 * width, 3, stride=2, padding=1), *_after(2 * width)]
            width *= 2
        layers += [_ResidualBlock(width) for _ in range(spec.blocks)]
        for _ in range(spec.halvings):
            half = width // 2
            layers += [nn.ConvTranspose2d(width, half, 3, 2, padding=1, output_padding=1), *_after(half)]
            width = half
        layers += [nn.ReflectionPad2d(3), nn.Conv2d(width, 1, 7), nn.Tanh()]
        self.model = nn.Sequential(*layers)

    @property
    def multiple(self) -> int:
        """The sides of maps are multiples of this."""
        return 1 << self.spec.halvings

    def forward(self, maps: Tensor) -> Tensor:
        """(B, C, h, w) -> (B, 1, h, w)."""
        side = self.multiple
        if maps.ndim != 4 or maps.shape[1] != INPUT_CHANNELS or maps.shape[2] % side or maps.shape[3] % side:
            raise ValueError(
                f"maps: expected (B, {INPUT_CHANNELS}, h, w), h and w multiples of {side}, "
                f"found {tuple(maps.shape)}"
            )
        return self.spec.limit * self.model(2 * maps[:, channels("colour")] - 1).float()


def _after(width: int) -> list[nn.Module]:
    return [nn.InstanceNorm2d(width), nn.ReLU(inplace=True)]
