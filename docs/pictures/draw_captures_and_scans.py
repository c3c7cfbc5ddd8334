"""Draw the pictures of docs/synthesize_captures.md and docs/synthesize_scans.md.

    python docs/pictures/draw_captures_and_scans.py CAPTURES SCANS

CAPTURES and SCANS are `.../synthesis/captures/<name>/synthesize_captures` and
`.../synthesis/scans/<name>/synthesize_scans` of a run. Prints how well the first capture's
surface meets its photos, by every third view.
"""

import sys
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw

from facemill.formats.facescape import read_capture
from facemill.formats.meshes import read_mesh
from facemill.formats.now import (
    picture_file,
    read_cases,
    read_scan_landmarks,
    scan_file,
    scan_landmarks_file,
)
from facemill.geometry.camera import Camera
from facemill.geometry.lens import undistort_image
from facemill.geometry.rotation import matrix_from_euler_deep3d
from facemill.rendering.render import render_geometry
from facemill.synthesis.reprojection import window_shifts

HERE = Path(__file__).parent
ARROWS = 40  # px of the picture per px of error


def main(captures: Path, scans: Path) -> None:
    """Write captures.png, reprojection.png and scans.png beside this file."""
    folder = sorted(captures.glob("imgs/*/*/params.json"))[0].parent
    draw_sheet(folder)
    draw_reprojection(captures, folder)
    draw_scans(scans)


def draw_sheet(folder: Path) -> None:
    """All views of one capture."""
    photos = [Image.open(view.file).resize((216, 324)) for view in read_capture(folder)]
    half = (len(photos) + 1) // 2
    sheet = Image.new("RGB", (216 * half, 648))
    for place, photo in enumerate(photos):
        sheet.paste(photo, (216 * (place % half), 324 * (place // half)))
    sheet.save(HERE / "captures.png")


def draw_reprojection(captures: Path, folder: Path) -> None:
    """Shifts between the first photo and the surface: by the exact cameras, and by what params.json says."""
    person, expression = folder.parts[-2:]
    mesh = read_mesh(captures / "mesh" / person / f"{expression}.ply")
    panels = []
    for name, place in (("exact", captures / "truth" / person / expression), ("told", folder)):
        lengths = []
        for view in read_capture(place, need_photos=False)[::3]:
            photo = np.asarray(Image.open(folder / view.file.name))
            flat = undistort_image(photo, view.camera.intrinsics.numpy(), view.lens).image
            found = window_shifts(flat, mesh, view.camera)
            lengths.append(found.lengths)
            if view.number == 0:
                panels.append(with_arrows(flat, found.places, found.shifts))
        total = np.concatenate(lengths)
        rms, median, most = np.sqrt((total**2).mean()), np.median(total), np.percentile(total, 95)
        sys.stdout.write(
            f"{name}: {len(total)} windows, rms {rms:.3f} px, median {median:.3f}, 95 % below {most:.3f}\n"
        )
    Image.fromarray(np.hstack(panels)).crop((0, 200, 2 * panels[0].shape[1], 1200)).resize((1152, 667)).save(
        HERE / "reprojection.png"
    )


def with_arrows(photo: np.ndarray, places: np.ndarray, shifts: np.ndarray) -> np.ndarray:
    """The photo with a line from each place along its enlarged shift."""
    picture = Image.fromarray((photo * 0.6).astype(np.uint8))
    draw = ImageDraw.Draw(picture)
    for (x, y), (dx, dy) in zip(places, shifts, strict=True):
        draw.ellipse((x - 3, y - 3, x + 3, y + 3), fill=(255, 255, 255))
        draw.line((x, y, x + ARROWS * dx, y + ARROWS * dy), fill=(80, 255, 120), width=3)
    return np.asarray(picture)


def draw_scans(scans: Path) -> None:
    """Two people: the scan from four sides, and its photographs."""
    cases = read_cases(scans)
    rows = []
    for subject in list(dict.fromkeys(case.subject for case in cases))[:2]:
        mesh = read_mesh(scan_file(scans, subject))
        landmarks = read_scan_landmarks(scan_landmarks_file(scans, subject))
        sides = [view_of(mesh, landmarks, yaw, pitch) for yaw, pitch in ((0, 0), (-45, 0), (80, 0), (0, -40))]
        photos = [fitted(picture_file(scans, case)) for case in cases if case.subject == subject][:4]
        rows.append(np.vstack([np.hstack(sides), np.hstack(photos)]))
    Image.fromarray(np.vstack(rows)).save(HERE / "scans.png")


def view_of(mesh, landmarks: np.ndarray, yaw: float, pitch: float) -> np.ndarray:
    """The scan turned upright by its landmarks, as a grey picture 288 px wide."""
    right = landmarks[3] - landmarks[0]
    right /= np.linalg.norm(right)
    up = landmarks[:4].mean(axis=0) - landmarks[5:].mean(axis=0)
    up -= (up @ right) * right
    up /= np.linalg.norm(up)
    frame = np.stack([right, up, np.cross(right, up)])
    points = (mesh.vertices - landmarks.mean(axis=0)) @ frame.T + [0.0, 0.0, 40.0]
    turn = matrix_from_euler_deep3d(torch.deg2rad(torch.tensor([pitch, yaw, 0.0], dtype=torch.float64)))
    camera = Camera(
        torch.diag(torch.tensor([1.0, -1.0, -1.0], dtype=torch.float64)) @ turn,
        torch.tensor([0.0, 0.0, 1000.0], dtype=torch.float64),
        torch.tensor([[1000.0, 0, 143.5], [0, 1000.0, 143.5], [0, 0, 1]], dtype=torch.float64),
    )
    grey = render_geometry(torch.from_numpy(points), torch.from_numpy(mesh.triangles), camera, (288, 288))
    return (255 * grey).astype(np.uint8)


def fitted(path: Path) -> np.ndarray:
    """A photograph within a square of 288 px."""
    photo = Image.open(path)
    photo.thumbnail((288, 288))
    square = Image.new("RGB", (288, 288), "white")
    square.paste(photo, ((288 - photo.width) // 2, (288 - photo.height) // 2))
    return np.asarray(square)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
