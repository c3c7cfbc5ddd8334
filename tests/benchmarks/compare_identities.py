"""How results of one data set under NoW's protocol compare with one another.

    snakemake --configfile config/people.yaml
    python tests/benchmarks/compare_identities.py [folder of evaluations] [name to compare with] ...

The default are results/people/evaluation/now, `single` and `mean`. Ratios of pooled medians over the pictures
that both scored, with one standard error over draws of people, drawn alike for both.
"""

import sys
from pathlib import Path

from facemill.evaluation.histograms import read_histograms
from facemill.evaluation.settings import NowSettings

ROOT = Path(__file__).resolve().parents[2]


def main(folder: Path, others: list[str]) -> None:
    """Print a row for each evaluation."""
    settings = NowSettings()
    found = {path.parent.name: read_histograms(path) for path in sorted(folder.glob("*/distances.npz"))}
    print(f"| identity | median, mm | {' | '.join(f'to {other}' for other in others)} | pictures |")
    print("|---|" + "---|" * (len(others) + 2))
    for name, result in found.items():
        ratios = [result.ratio_to(found[other], settings.draws, settings.seed) for other in others]
        told = [f"{ratio.ratio:.3f} ± {ratio.error:.3f}" for ratio in ratios]
        print(f"| {name} | {ratios[0].median:.3f} | {' | '.join(told)} | {ratios[0].cases} |")


if __name__ == "__main__":
    given = sys.argv[1:]
    place = Path(given[0]) if given else ROOT / "results" / "people" / "evaluation" / "now"
    main(place, given[1:] or ["single", "mean"])
