"""Run every benchmark of this folder and print one table: what, value, peer in the same run, ratio.

python tests/benchmarks/run_all.py [name ...]      for example: run_all.py rasterize photos
"""

import importlib.util
import multiprocessing
import platform
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
sys.path.insert(0, str(FOLDER.parent))  # made data that tests use, too


def rows_of(path: Path) -> list[dict]:
    """The rows that the benchmark file `path` measures."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.run()


def rows_apart(path: Path) -> list[dict]:
    """`rows_of(path)`, measured in a new process: neither memory nor threads of others are in its way."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as process:
        return process.submit(rows_of, path).result()


def main(names: list[str]) -> None:
    """Measure and print."""
    print(
        f"{platform.machine()}, {platform.system()} {platform.release()}, Python {platform.python_version()}"
    )
    for path in sorted(FOLDER.glob("bench_*.py")):
        if names and path.stem.removeprefix("bench_") not in names:
            continue
        print(f"\n{path.stem}")
        for row in rows_apart(path):
            peer = f"   {row['ratio']:.2f}x of {row['peer']}" if row.get("peer") and row.get("ratio") else ""
            print(f"  {row['name']:<64} {row['value']:>10.4g} {row['unit']}{peer}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
