"""Losses that know nothing of the photo: what is likely before it is seen."""

from torch import Tensor


def mahalanobis(coefficients: Tensor) -> Tensor:
    """Sum of squares of coefficients (B, N) in standard deviations, (B,)."""
    return coefficients.square().sum(-1)


def reflectance_variance(albedo: Tensor) -> Tensor:
    """Variance of the albedo (B, S, 3) over the S vertices of the skin, summed over the colours, (B,).

    Flat skin leaves shading to the lighting (Deng et al. 2019). 0 when there is no vertex.
    """
    if albedo.shape[1] == 0:
        return albedo.sum((1, 2))
    deviation = albedo - albedo.mean(1, keepdim=True)
    return deviation.square().sum(-1).mean(-1)


def lighting_colour(lighting: Tensor) -> Tensor:
    """Mean squared deviation of the lighting (B, 27) from white, (B,).

    White means equal coefficients for red, green and blue: each is compared with the mean of the three.
    """
    channels = lighting.unflatten(-1, (3, 9))
    return (channels - channels.mean(1, keepdim=True)).square().mean((1, 2))
