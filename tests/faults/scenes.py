"""The runs into which faults are injected, and what single rules of them leave."""

import shutil
from dataclasses import dataclass
from pathlib import Path

from workflow.kill_scenes import RESULTS

PORTRAITS = ("astronaut", "hopper", "photographer")
TRAINING = "coarse/train_coarse"


@dataclass(frozen=True)
class Made:
    """What a rule leaves, relative to the results: a file to ask for, and all that it writes."""

    target: str
    paths: tuple[str, ...]

    @property
    def goal(self) -> str:
        """The target as Snakemake is asked for it."""
        return f"{RESULTS}/{self.target}"


def _photo_rule(stage: str, *further: str) -> Made:
    table = f"photos/portraits/{stage}/0000.parquet"
    return Made(table, (table, *further))


MADE = {
    "detect_faces": _photo_rule("detect_faces"),
    "align_faces": _photo_rule("align_faces", "photos/portraits/align_faces/0000"),
    "detect_landmarks": _photo_rule("detect_landmarks"),
    "prepare_model": Made("models/head.npz", ("models/head.npz",)),
    "reconstruct_coarse": Made(
        "coarse/portraits/reconstruct_coarse/0000.npz",
        tuple(f"coarse/portraits/reconstruct_coarse/0000.{kind}" for kind in ("npz", "parquet")),
    ),
    "export_coarse": Made(
        "coarse/portraits/export_coarse/0000.parquet",
        ("coarse/portraits/export_coarse/0000.parquet", *(f"coarse/portraits/{p}" for p in PORTRAITS)),
    ),
    "reconstruct_detail": Made(
        "detail/portraits/reconstruct_detail/0000.npz",
        tuple(f"detail/portraits/reconstruct_detail/0000.{kind}" for kind in ("npz", "parquet")),
    ),
    "write_report": Made("report.html", ("report.html",)),
    "train_coarse": Made(f"{TRAINING}/network.safetensors", (TRAINING,)),
}


def take_away(results: Path, made: Made) -> int:
    """Remove what a rule left; how many bytes it was."""
    taken = 0
    for path in (results / name for name in made.paths):
        if path.is_dir():
            taken += sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
            shutil.rmtree(path)
        elif path.exists():
            taken += path.stat().st_size
            path.unlink()
    assert taken, f"{made.target} was not there"
    return taken


def partials(results: Path) -> list[Path]:
    """What writers left unfinished."""
    return list(results.rglob(".partial-*"))
