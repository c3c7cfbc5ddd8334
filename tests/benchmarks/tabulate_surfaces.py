"""Distances of the surfaces of captures to their scans, by stage, averaged over the people of each entry.

snakemake --cores all --configfile config/benchmark_surfaces.yaml
python tests/benchmarks/tabulate_surfaces.py [run [results]]

Reads results/<run>/multiview/*/evaluate_surface/result.json (run: benchmark_surfaces) and prints a table in
Markdown: scan points of the face that two views see, to the surface of each stage, nothing aligned; normals
at the same points.
"""

import json
import sys
from collections import defaultdict
from pathlib import Path

import numpy as np

STAGES = ("base", "classical", "implicit", "regularized", "mesoscopic")
SHARES = ("0.1", "0.2", "0.5")


def read_results(folder: Path) -> dict[str, list[dict]]:
    """Results of `evaluate_surface` that are ok, by entry of the configuration."""
    plan = json.loads((folder / "plan" / "captures.json").read_text())["captures"]
    found = defaultdict(list)
    for capture in plan:
        path = folder / capture["name"] / "evaluate_surface" / "result.json"
        result = (
            json.loads(path.read_text()) if path.is_file() else {"status": "missing", "reason": str(path)}
        )
        if result["status"] == "ok":
            found[capture["entry"]].append(result)
        else:
            print(f"left out: {capture['name']}: {result['status']}: {result['reason']}", file=sys.stderr)
    return found


def row_of(entry: str, stage: str, results: list[dict]) -> str:
    """One line of the table: means over the captures of an entry."""
    parts = [result["stages"][stage] for result in results if stage in result["stages"]]
    if not parts:
        return f"| {entry} | {stage} | – | – | – | – | – |"
    distances = [part["completeness"] for part in parts]
    mean = {name: np.mean([one[name] for one in distances]) for name in ("median", "p90")}
    within = "/".join(f"{100 * np.mean([one['within'][share] for one in distances]):.0f}" for share in SHARES)
    normals = np.mean([part["normal_error"]["mean"] for part in parts])
    found = np.mean([part["coverage"] for part in parts])
    cells = (f"{mean['median']:.3f}", f"{mean['p90']:.3f}", within, f"{normals:.2f}", f"{100 * found:.0f} %")
    return f"| {entry} | {stage} | " + " | ".join(cells) + " |"


def main() -> None:
    """Print the table of one run."""
    run = sys.argv[1] if len(sys.argv) > 1 else "benchmark_surfaces"
    results = Path(sys.argv[2] if len(sys.argv) > 2 else "results") / run / "multiview"
    print("| captures | stage | median mm | 90 % below | within 0.1/0.2/0.5 mm, % | normals ° | found |")
    print("|---|---|---|---|---|---|---|")
    for entry, found in read_results(results).items():
        for stage in STAGES:
            print(row_of(f"{entry} ({len(found)})", stage, found))


if __name__ == "__main__":
    main()
