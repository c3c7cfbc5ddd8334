"""Remove what a finished run no longer needs: crops, masks, packed arrays, bands of scores, checkpoints.

    python workflow/tools/remove_intermediates.py config/demo.yaml              remove
    python workflow/tools/remove_intermediates.py config/demo.yaml --list       say what would be removed

Called where `snakemake --configfile config/demo.yaml` was. Results, tables, logs and benchmarks stay, so
Snakemake has nothing to do afterwards; a rule that is forced makes again what it needs. A run for which
Snakemake still has something to do is left as it is.
"""

import shutil
import subprocess
import sys
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "src"))

from facemill.configuration import check_configuration  # noqa: E402  (needs the path above)

FINISHED = "Nothing to be done"

# Pattern below the run → what it is. Every one is made again by the rule that made it.
INTERMEDIATES = {
    "photos/*/align_faces/*/": "crops of faces",
    "photos/*/segment_skin/*/": "skin masks",
    "coarse/*/pack_training/*/": "packed training images",
    "detail/*/pack_detail/*/": "packed detail maps",
    "multiview/*/prepare_capture/views/": "prepared views of captures",
    "multiview/*/volume.npz": "bands of matching scores",
    "*/train_*/run/*.pth": "checkpoints of trainings: they cannot be continued afterwards",
    "*/train_*/run/examples/": "examples of trainings",
}


def results_of(configuration: Path) -> Path:
    """Folder of the run that a configuration file names."""
    values = yaml.safe_load(configuration.read_text(encoding="utf-8")) or {}
    return Path("results", check_configuration(values).run).resolve()


def unfinished(configuration: Path) -> str:
    """What Snakemake would still do; empty when the run is finished."""
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "workflow" / "Snakefile")]
    command += ["--dry-run", "--cores", "1", "--nolock", "--configfile", str(configuration)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    said = done.stdout + done.stderr
    return "" if done.returncode == 0 and FINISHED in said else said[-3000:]


def found(results: Path) -> dict[str, list[Path]]:
    """Intermediate files and folders by pattern."""
    return {pattern: sorted(results.glob(pattern)) for pattern in INTERMEDIATES}


def size_of(path: Path) -> int:
    """Bytes of a file, or of all files below a folder."""
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    return sum(file.stat().st_size for file in files)


def main(arguments: list[str]) -> int:
    """Remove, or with --list only tell; returns the exit code."""
    files = [argument for argument in arguments if argument != "--list"]
    only_tell = "--list" in arguments
    if len(files) != 1 or not Path(files[0]).is_file():
        print(__doc__)
        return 1
    results = results_of(Path(files[0]))
    rest = "" if only_tell else unfinished(Path(files[0]))
    if rest:
        print(f"{results} is not finished and stays as it is. Snakemake says:\n{rest}", file=sys.stderr)
        return 1
    for pattern, paths in found(results).items():
        total = sum(map(size_of, paths))
        print(f"{total / 1e6:12.1f} MB  {INTERMEDIATES[pattern]} ({pattern})")
        for path in paths if not only_tell else ():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
