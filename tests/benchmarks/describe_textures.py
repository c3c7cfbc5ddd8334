"""Textures and displaced meshes of captures: decibels from held-out cameras, seconds and memory.

    python tests/benchmarks/describe_textures.py FOLDER CAPTURE ...

FOLDER is results/<run> of a run that has made `uv_maps.npz` of the captures. The surface is
`regularized.npz`; where a run has none yet, the displacement to the scan from `uv_maps.npz`, within 1.5 mm.
Views 0 and 1 are held out in turn. Writes the picture `held_out_<capture>.jpg` of view 0 (photo | texture
from the other views | 5 x difference) to the present folder. Seconds are those of the processor, both
threads together.
"""

import resource
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from captures_of_run import CapturesOfRun
from PIL import Image

from facemill.faces.face_texture import prepare_atlas
from facemill.formats.surface_maps import OK, MappedSurface, SurfaceMap, read_surface_map
from facemill.multiview.displaced_head import displaced_head
from facemill.multiview.displacing.files import MeshFiles, make_meshes
from facemill.multiview.displacing.settings import DisplaceMeshSettings
from facemill.multiview.head_views import read_head_views
from facemill.multiview.texel_grid import TexelGrid
from facemill.multiview.texturing.files import make_texture
from facemill.multiview.texturing.held_out import held_out
from facemill.multiview.texturing.settings import BlendTextureSettings
from facemill.runtime.devices import use_threads

HELD_OUT = ("0", "1")
CLIP = 1.5  # mm
NONE = MappedSurface("none", "not given", None)


def main(folder: Path, names: list[str]) -> None:
    """Print one line per held-out view and one per rule."""
    use_threads(2)
    captures, settings = CapturesOfRun(folder), BlendTextureSettings()
    model = captures.model
    atlas = prepare_atlas(model.topology, settings.size)
    for name in names:
        opened = captures.open(name)
        kind, surface = surface_of(captures.folder(name), opened.grid)
        with tempfile.TemporaryDirectory() as place:
            out = Path(place)
            files = [out / part for part in ("texture.png", "seen.png", "views.csv")]
            begin = time.process_time()
            make_texture(opened, surface, model, settings, "head", *files)
            tell(name, "blend_texture", begin)
            parts = ("displacement.png", "displacement.json", "mesh.obj", "mesh.glb", "mesh.ply", "more")
            begin = time.process_time()
            meshes = MeshFiles(*(out / part for part in parts))
            make_meshes(opened, surface, NONE, files[0], model, DisplaceMeshSettings(), "head", meshes)
            tell(name, "displace_mesh", begin)
        head = displaced_head(model.topology, atlas.raster, opened.fitted.head, surface.surface, opened.grid)
        views = read_head_views(opened.fitted)
        for view in HELD_OUT:
            found = held_out(views, view, head, model.albedo_mean, atlas, settings)
            print(f"{name}  held-out view {view}  {found.psnr:.2f} dB  ({kind})", flush=True)
            if view == HELD_OUT[0]:
                apart = np.clip(5 * np.abs(found.rendered - found.picture), 0, 1) * found.mask[..., None]
                row = np.concatenate([found.picture, found.rendered, apart], axis=1).clip(0, 1)
                Image.fromarray((255 * row).astype(np.uint8)).save(f"held_out_{name}.jpg", quality=90)


def surface_of(folder: Path, grid: TexelGrid) -> tuple[str, MappedSurface]:
    """The surface of a capture, and what it is."""
    if (folder / "regularized.npz").exists():
        return "regularized", read_surface_map(folder / "regularized.npz")
    assert grid.truth is not None, "neither regularized.npz nor a scan"
    known = np.isfinite(grid.truth)
    near = np.clip(grid.truth, -CLIP, CLIP)
    surface = SurfaceMap(grid.size, grid.window, near, known.astype(np.float32), known)
    return "scan", MappedSurface(OK, "", surface)


def tell(name: str, rule: str, begin: float) -> None:
    """Print what a rule took."""
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(f"{name}  {rule}  {time.process_time() - begin:.1f} s, {memory:.1f} GB at most", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
