"""A finished training as `train_coarse` leaves it on disk."""

import json
from pathlib import Path

from PIL import Image

ROWS = """\
step,epoch,kind,images_per_second,landmark_error,loss,photometric,new_<i>term</i>
0,0.0,validation,,0.0625,,,
1,0.5,train,4.0,,2.5,0.5,7
2,1.0,train,5.0,,1.25,0.375,6
2,1.0,validation,,0.03125,,,
"""


def make_training(folder: Path, seen: bool = True, rows: str = ROWS) -> list[Path]:
    """metrics.csv, faces.png, summary.json and weights, which the report does not read."""
    folder.mkdir(parents=True)
    (folder / "metrics.csv").write_text(rows)
    Image.new("RGB", (672, 224), (200, 90, 60)).save(folder / "faces.png")
    summary = {"steps": 2, "images": 1234, "validation_images": 56, "validation_seen": seen}
    (folder / "summary.json").write_text(json.dumps(summary))
    (folder / "network.safetensors").write_bytes(b"")
    names = ("network.safetensors", "metrics.csv", "faces.png", "summary.json")
    return [folder / name for name in names]
