"""Draw evaluate_now_curve.svg, evaluate_now_heat_map.png and evaluate_scan.png: the mean head against others.

PYTHONPATH=src python docs/pictures/draw_evaluation.py

Six heads are drawn from the embedded head's own space, so the figures say nothing about any method.
"""

import tempfile
from pathlib import Path

import numpy as np
import torch

from facemill.evaluation.now import evaluate_now
from facemill.evaluation.now_output import write_now
from facemill.evaluation.published import read_published
from facemill.evaluation.scans import evaluate_scan, write_scan
from facemill.evaluation.settings import NowSettings, NowTask, ScanSettings
from facemill.formats.landmarks import PickedPoints, write_picked_points
from facemill.formats.meshes import write_mesh
from facemill.geometry.mesh import Mesh
from facemill.models.head import load_head
from facemill.models.morphable import LinearModel

ROOT = Path(__file__).resolve().parents[2]
SUBJECTS = 6
NOISE = 0.15  # mm


def head_mesh(model: LinearModel, identity: np.ndarray) -> Mesh:
    """The neutral head of these coefficients."""
    coefficients = torch.from_numpy(identity).float()[None]
    vertices = model.shape(coefficients, torch.zeros(1, model.expression_count))[0]
    return Mesh(vertices.double().numpy(), model.topology.triangles.numpy())


def write_study(model: LinearModel, folder: Path) -> list[Mesh]:
    """A NoW-layout data set marked as synthetic; the mean head is every prediction."""
    points = model.topology.now_landmarks.numpy()
    mean = head_mesh(model, np.zeros(model.identity_count))
    random = np.random.default_rng(11)
    scans, lines = [], []
    for number in range(SUBJECTS):
        subject = f"subject{number:02d}"
        mesh = head_mesh(model, random.normal(size=model.identity_count))
        scan = mesh.with_vertices(mesh.vertices + random.normal(0, NOISE, mesh.vertices.shape))
        write_mesh(folder / "scans" / subject / "head.obj", scan)
        picked = PickedPoints([str(i) for i in range(7)], mesh.vertices[points])
        write_picked_points(folder / "scans_lmks_onlypp" / subject / "head.pp", picked)
        challenge = ("multiview_neutral", "selfie")[number % 2]
        case = folder / "predictions" / subject / challenge
        write_mesh(case / "image.obj", mean)
        np.savetxt(case / "image.txt", mean.vertices[points])
        lines.append(f"{subject}/{challenge}/image.jpg\n")
        scans.append(scan)
    (folder / "imagepathsvalidation.txt").write_text("".join(lines))
    (folder / "synthetic.json").write_text("{}\n")
    return scans


def main() -> None:
    """Draw."""
    model = load_head(ROOT / "resources" / "models" / "head.npz")
    settings = NowSettings(visible_only=True, heat_maps=3)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        scans = write_study(model, folder)
        task = NowTask(dataset=name, predictions=str(folder / "predictions"))
        evaluation = evaluate_now(task, settings)
        published = read_published(ROOT / "resources" / "published")
        out = [folder / part for part in ("s.json", "c.csv", "curve.svg", "curve.csv", "maps", "d.npz")]
        write_now(evaluation, published, "mean head", *out)
        target = ROOT / "docs" / "pictures"
        (target / "evaluate_now_curve.svg").write_text(out[2].read_text())
        worst = sorted(out[4].iterdir(), key=lambda path: int(path.name.split("_")[0]))[-1]
        (target / "evaluate_now_heat_map.png").write_bytes(worst.read_bytes())
        close = ScanSettings()
        smooth = scans[0].with_vertices(scans[0].vertices + 0.4 * np.sin(scans[0].vertices / 9))
        comparison = evaluate_scan(smooth, scans[0], close)
        files = (folder / "scan.json", folder / "scan.svg", target / "evaluate_scan.png")
        write_scan(comparison, scans[0], close, "synthetic", "subject00", *files)


if __name__ == "__main__":
    main()
