"""Every writer that stages share, on a disk that is really full: the file is named, nothing of it stays."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from facemill.formats.checkpoints import write_pickled, write_weights
from facemill.formats.meshes import write_obj, write_ply
from facemill.geometry.mesh import Mesh
from facemill.photos.pictures import write_picture
from facemill.runtime.files import atomic_folder, atomic_path, merged_folder, save_arrays, write_json
from facemill.runtime.storage import StorageError
from facemill.runtime.tables import write_table
from facemill.training.checkpoints import write_last
from facemill.training.journal import Journal
from faults.disks import small_disk
from faults.scenes import partials

pytestmark = pytest.mark.faults
ROOM = 20_000  # bytes; each writer needs more
NUMBERS = np.random.default_rng(0).random(60_000)
PIXELS = (255 * NUMBERS.reshape(-1)[:49_152]).astype(np.uint8).repeat(4).reshape(256, 256, 3)


def write_folder(path: Path) -> None:
    with atomic_folder(path) as folder:
        write_picture(folder / "ann.png", PIXELS)


def write_bare_array(path: Path) -> None:
    with merged_folder(path) as folder:
        np.save(folder / "crops.npy", NUMBERS)


def write_jpeg(path: Path) -> None:
    with atomic_path(path) as partial:
        Image.fromarray(PIXELS).save(partial, quality=100)


def write_events(path: Path) -> None:
    journal = Journal(path.parent, 0)
    for step in range(200):
        journal.show(step, np.roll(PIXELS, step))
    journal.flush()


CUBE = Mesh(NUMBERS[:9_000].reshape(-1, 3), np.arange(3_000).reshape(-1, 3))
WRITERS: dict[str, Callable[[Path], object]] = {
    "a.parquet": lambda path: write_table(path, pd.DataFrame({"x": NUMBERS})),
    "a.npz": lambda path: save_arrays(path, {"x": NUMBERS}),
    "compressed.npz": lambda path: save_arrays(path, {"x": NUMBERS}, compressed=True),
    "a.json": lambda path: write_json(path, NUMBERS.tolist()),
    "a.obj": lambda path: write_obj(path, CUBE),
    "a.ply": lambda path: write_ply(path, Mesh(NUMBERS.reshape(-1, 3), CUBE.triangles)),
    "a.pth": lambda path: write_pickled(path, {"x": torch.from_numpy(NUMBERS)}),
    "last.pth": lambda path: write_last(path.parent, {"x": torch.from_numpy(NUMBERS)}),
    "a.safetensors": lambda path: write_weights(path, {"x": torch.from_numpy(NUMBERS)}, {"format": "toy"}),
    "a.jpg": write_jpeg,
    "crops": write_folder,
    "packed": write_bare_array,
    "journal": write_events,
}


@pytest.mark.parametrize("name", WRITERS)
def test_the_file_is_named_and_nothing_stays(tmp_path, faults, name):
    with small_disk(tmp_path / "disk") as disk, faults.fault("full disk: writers"):
        disk.leave_room(ROOM)
        with pytest.raises(
            StorageError, match=r"(.|\n)*cannot be written(.|\n)*no space left on the disk"
        ) as told:
            WRITERS[name](disk.place / name)
        assert str(disk.place) in told.value.subject
        assert not partials(disk.place)
        if name != "journal":  # its events stay, as far as they came
            assert not list(disk.place.iterdir())
