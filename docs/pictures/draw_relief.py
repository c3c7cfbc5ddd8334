"""Draw the picture of docs/predict_mesoscopic.md.

    python docs/pictures/draw_relief.py FOLDER CAPTURE

FOLDER is results/<run> of a run that has made `mesoscopic.npz` of a capture with a scan. Two parts of the
face in the atlas: the texture, and under raking light the regularised surface, the same with relief, and the
scan (white where it is not met). Also prints what `surface_errors` measures of the surface with relief and
(`…_before`) without.
"""

import json
import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from facemill.formats.surface_maps import read_surface_map
from facemill.models.files import load_model
from facemill.multiview.mesoscopic.examples import list_sources, open_source
from facemill.multiview.mesoscopic.shaded_pictures import shaded
from facemill.multiview.mesoscopic.surface_errors import surface_errors
from facemill.multiview.texel_grid import window_slices
from facemill.multiview.texturing.pictures import read_texture

PICTURE = Path(__file__).with_name("predict_mesoscopic.png")
#: Rows and columns of the parts, of the window's height and width: nose, and the eye at the image's left.
PARTS = (((0.46, 0.64), (0.37, 0.63)), ((0.27, 0.45), (0.19, 0.45)))
WIDTH, GAP, TITLE = 440, 8, 26
TITLES = ("texture", "regularised", "+ mesoscopic", "scan")


def main(folder: Path, name: str) -> None:
    """Draw the picture."""
    captures = folder / "multiview"
    plan = json.loads((captures / "plan" / f"{name}.json").read_text())["capture"]
    here, person = captures / name, captures / "fit_base_mesh" / plan["person"]
    paths = [
        here / "prepare_capture" / "capture.json",
        person.with_name(f"{person.name}.npz"),
        person.with_name(f"{person.name}.json"),
        *(here / file for file in ("uv_maps.npz", "regularized.npz", "texture.png", "texture_seen.png")),
    ]
    scan = str(folder.parents[1] / plan["scan"])
    (source,) = list_sources([name], *[[str(path)] for path in paths], scans=[scan])
    opened = open_source(source, load_model(folder / "models" / "head.npz"))
    assert opened is not None, f"{name} has no surface or no scan"
    grid, surface = opened.maps.grid, opened.maps.surface
    relief = read_surface_map(here / "mesoscopic.npz").surface.more["relief"]
    sys.stdout.write(f"{name} {surface_errors(opened.maps, relief, opened.truth)}\n")
    texture = np.where(grid.mask[..., None], read_texture(source.texture)[window_slices(grid.window)], 255)
    pictures = [texture.astype(np.uint8)]
    met = np.isfinite(opened.truth)
    scanned = np.where(met, opened.truth, surface)
    pictures += [shaded(grid, values) for values in (surface, surface + relief, scanned)]
    pictures[-1][~met] = 255
    rows = []
    for down, across in PARTS:
        rows_of, columns = (
            slice(*(round(side * share) for share in part))
            for side, part in zip(grid.mask.shape, (down, across), strict=True)
        )
        parts = [Image.fromarray(picture[rows_of, columns]) for picture in pictures]
        size = (WIDTH, round(WIDTH * parts[0].height / parts[0].width))
        rows.append([part.resize(size, Image.Resampling.LANCZOS) for part in parts])
    heights = [row[0].height for row in rows]
    sheet = Image.new("RGB", (len(TITLES) * (WIDTH + GAP), TITLE + sum(heights) + GAP * len(rows)), "white")
    for column, title in enumerate(TITLES):
        ImageDraw.Draw(sheet).text((column * (WIDTH + GAP) + 4, 6), title, "black", font_size=14)
        top = TITLE
        for row in rows:
            sheet.paste(row[column], (column * (WIDTH + GAP), top))
            top += row[column].height + GAP
    sheet.save(PICTURE, optimize=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
