"""How alike two faces look to a network that knows people."""

from torch import Tensor


def identity_distance(rendered: Tensor, photo: Tensor) -> Tensor:
    """1 - cosine of features (B, N), (B,): 0 for the same person to the network, 2 at most.

    Deng et al. (2019) with the features of FaceNet or ArcFace, here also of dlib's recogniser. A face without
    features (all 0) has distance 1.
    """
    lengths = rendered.norm(dim=1) * photo.norm(dim=1)
    return 1 - (rendered * photo).sum(1) / lengths.clamp(min=1e-8)
