"""300,000 photos: planning, indexing, a run with nothing to do, new photos; the chain on one and two workers.

Names are what planning and indexing know of photos, so the files are empty, in memory where the system has
/dev/shm. Peers are the limits that the project set itself; ratios above 1 are failures.

    python tests/benchmarks/run_all.py scale
    python tests/benchmarks/bench_scale.py planning        only what needs no quiet machine for minutes
"""

import base64
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import yaml
from PIL import Image
from skimage import data

from facemill.photos.plan import SHARD_DIGITS, plan_photo_set, read_plan
from facemill.runtime.seeds import bucket_of

ROOT = Path(__file__).resolve().parents[2]
PHOTOS = 300_000
NEW = 1000
SHARD_SIZE = 256
SMALLER_SETS = (3_000, 30_000)
SHARD_RESULTS = (  # of a run, in the order in which they are made
    "photos/crowd/index_photos/{shard}.parquet",
    "photos/crowd/detect_faces/{shard}.parquet",
    "photos/crowd/align_faces/{shard}",
    "photos/crowd/align_faces/{shard}.parquet",
    "photos/crowd/detect_landmarks/{shard}.parquet",
    "photos/crowd/segment_skin/{shard}",
    "photos/crowd/segment_skin/{shard}.parquet",
    "coarse/crowd/reconstruct_coarse/{shard}.npz",
    "coarse/crowd/reconstruct_coarse/{shard}.parquet",
    "detail/crowd/reconstruct_detail/{shard}.npz",
    "detail/crowd/reconstruct_detail/{shard}.parquet",
)
GATHERED = (
    "photos/crowd/split_dataset/train.csv",
    "photos/crowd/split_dataset/val.csv",
    "photos/crowd/faces.csv",
    "report.html",
    "provenance.json",
)
CHAIN_SHARDS, CHAIN_PHOTOS = 6, 768  # of the run on one and two workers

INDEX = r"""
import re, sys
from pathlib import Path
from facemill.photos.index import index_photos
from facemill.photos.settings import IndexSettings
from facemill.runtime.settings import PhotoLimits
table = index_photos(sys.argv[1], sys.argv[2], IndexSettings(), PhotoLimits())
# Not getrusage: there a process begins with the peak of the one that started it.
print(len(table), re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[1])
"""


DETECT = r"""
from skimage import data
from facemill.photos.dlib_models import BoxDetector, Predictor68
detector, predictor, image = BoxDetector("hog"), Predictor68(), data.astronaut()
print("ready", flush=True)
input()
for _ in range(300):
    for box, _ in detector.boxes(image, 0.2):
        predictor.landmarks(image, box)
"""


class Call(NamedTuple):
    """What a call of Snakemake took: seconds, of the processor, too; memory (MiB); what it said."""

    seconds: float
    processor: float
    memory: float
    output: str

    def jobs(self, rule: str) -> int:
        """Jobs of a rule in Snakemake's statistics."""
        found = re.search(rf"^{rule} +(\d+)$", self.output, re.MULTILINE)
        return int(found[1]) if found else 0


def call(folder: Path, *arguments: str, cores: int = 1) -> Call:
    """Snakemake on `folder`/config.yaml; it must end well."""
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "workflow" / "Snakefile")]
    command += ["--directory", str(folder), "--cores", str(cores), "--nocolor", *arguments]
    command += ["--configfile", str(folder / "config.yaml")]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "OMP_WAIT_POLICY": "passive"}
    start = time.perf_counter()
    with (folder / "output.txt").open("w") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, env=environment)
        _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    seconds = time.perf_counter() - start
    text = (folder / "output.txt").read_text()
    assert process.returncode == 0, f"exit code {process.returncode}: {text[-3000:]}"
    return Call(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, text)


def limited(name: str, value: float, unit: str, limit: float) -> dict:
    """A row beside the limit of its value."""
    return {
        "name": name,
        "value": value,
        "unit": unit,
        "peer": f"the limit of {limit:g} {unit}",
        "ratio": value / limit,
    }


def plain(name: str, value: float, unit: str) -> dict:
    """A row that is compared with nothing."""
    return {"name": name, "value": value, "unit": unit, "peer": "", "ratio": None}


@contextmanager
def workplace() -> Iterator[Path]:
    """A folder in memory, if there is room, with an empty photo folder."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as name:
        (Path(name) / "photos").mkdir()
        yield Path(name)


def configure(folder: Path, shard_size: int = SHARD_SIZE) -> None:
    """Write the configuration of a run on the photo folder."""
    photos = {"crowd": {"folder": str(folder / "photos"), "shard_size": shard_size}}
    (folder / "config.yaml").write_text(yaml.safe_dump({"run": "scale", "photos": photos}))


def add_names(folder: Path, first: int, last: int) -> list[str]:
    """Empty photos of these numbers; returns their stems."""
    stems = [f"photo_{number:07d}" for number in range(first, last)]
    for stem in stems:
        (folder / "photos" / f"{stem}.jpg").touch()
    return stems


def measure_planning() -> Iterator[dict]:
    """Rows for the plan, the index, a run with nothing to do and new photos."""
    with workplace() as folder:
        configure(folder)
        done = 0
        for count in (*SMALLER_SETS, PHOTOS):
            add_names(folder, done, count)
            done = count
            yield index_memory(folder, count)
        first = call(folder, "--dry-run", "--quiet", "rules")
        yield limited(f"first plan of {PHOTOS:,} photos, snakemake --dry-run", first.seconds, "s", 30)
        yield plain("its processor time", first.processor, "s")
        yield limited("its largest memory", first.memory, "MiB", 1024)
        again = call(folder, "--dry-run", "--quiet", "rules")
        yield plain("plan again, the photos unchanged", again.seconds, "s")
        bill = call(folder, "results/scale/plan.csv")
        yield plain("plan.csv, before anything has run", bill.seconds, "s")
        yield plain("its processor time", bill.processor, "s")
        finish(folder)
        nothing = call(folder)
        assert "Nothing to be done" in nothing.output, nothing.output[-3000:]
        yield limited("a run with nothing to do", nothing.seconds, "s", 15)
        yield plain("its processor time", nothing.processor, "s")
        yield plain("its largest memory", nothing.memory, "MiB")
        yield from measure_new_photos(folder)


def index_memory(folder: Path, count: int) -> dict:
    """Row for the memory of indexing one shard of a set of so many photos."""
    plan = plan_photo_set("crowd", folder / "photos", folder / "measured-plan", SHARD_SIZE)
    command = [sys.executable, "-c", INDEX, str(plan.manifest(plan.shards[0])), str(folder / "photos")]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    photos, memory = map(int, done.stdout.split())
    shutil.rmtree(folder / "measured-plan")
    return plain(f"index_photos: a shard ({photos} photos) of {count:,}", memory / 1024, "MiB")


def finish(folder: Path) -> None:
    """Leave the run as if every job had been done: empty results, and Snakemake's records of them.

    Snakemake itself records the jobs of one shard (`--touch`), which takes it 40 ms a job; records of the
    others are copies. In the end it records the rules that gather all shards.
    """
    results = folder / "results" / "scale"
    shards = read_plan(results / "photos" / "crowd" / "plan").shards
    for name in ("models/head.npz", *SHARD_RESULTS, *GATHERED):
        for shard in shards if "{shard}" in name else ("",):
            place = results / name.format(shard=shard)
            place.parent.mkdir(parents=True, exist_ok=True)
            place.touch() if place.suffix else place.mkdir(exist_ok=True)
    last = SHARD_RESULTS[-1].format(shard=shards[0])
    call(folder, f"results/scale/{last}", "--touch", "--quiet", "all")
    records = folder / ".snakemake" / "metadata"
    for record in list(records.iterdir()):
        made = base64.b64decode(record.name).decode()
        if shards[0] in made:
            text = record.read_text()
            for shard in shards[1:]:
                name = base64.b64encode(made.replace(shards[0], shard).encode()).decode()
                (records / name).write_text(re.sub(rf"/{shards[0]}(?=[./'\"])", f"/{shard}", text))
    call(folder, "--touch", "--quiet", "all")


def measure_new_photos(folder: Path) -> list[dict]:
    """Rows for the shards that run again when photos come."""
    stems = add_names(folder, PHOTOS, PHOTOS + NEW)
    shards = len(read_plan(folder / "results" / "scale" / "photos" / "crowd" / "plan").shards)
    touched = len({f"{bucket_of(stem, shards):0{SHARD_DIGITS}d}" for stem in stems})
    dry = call(folder, "--dry-run", "--quiet", "rules")
    counted = dry.jobs("index_photos")
    return [
        plain(f"{NEW:,} new photos: plan", dry.seconds, "s"),
        plain("shards in all", shards, ""),
        {
            "name": "jobs of index_photos that they cause",
            "value": counted,
            "unit": "",
            "peer": f"the {touched} shards they fall into",
            "ratio": counted / touched,
        },
    ]


def measure_workers() -> list[dict]:
    """Rows for the photo chain by Snakemake on one core and on two; what Snakemake takes to start apart."""
    seconds = {}
    for cores in (1, 2):
        with workplace() as folder:
            configure(folder, CHAIN_PHOTOS // CHAIN_SHARDS)
            first = folder / "photos" / "0.jpg"
            Image.fromarray(data.astronaut()).save(first, quality=92)
            for number in range(1, CHAIN_PHOTOS):
                (folder / "photos" / f"{number}.jpg").write_bytes(first.read_bytes())
            target = "results/scale/photos/crowd/faces.csv"
            start = call(folder, target, "--dry-run").seconds
            seconds[cores] = call(folder, target, "--quiet", "all", cores=cores).seconds - start
    name = f"photo chain, {CHAIN_PHOTOS} photos in {CHAIN_SHARDS} shards"
    return [
        plain(f"{name}, 1 worker", seconds[1], "s"),
        plain(f"{name}, 2 workers", seconds[2], "s"),
        {
            "name": "photos per second, 2 workers",
            "value": CHAIN_PHOTOS / seconds[2],
            "unit": "1/s",
            "peer": "1 worker (at least 1.8 wanted)",
            "ratio": seconds[1] / seconds[2],
        },
    ]


def measure_machine() -> dict:
    """Row for what the machine itself gains: the same dlib calls in one process, and in two at once."""
    seconds = {}
    for count in (1, 2):
        environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
        command = [sys.executable, "-c", DETECT]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        workers = [subprocess.Popen(command, env=environment, text=True, **pipes) for _ in range(count)]
        for worker in workers:
            assert worker.stdout and worker.stdout.readline() == "ready\n"
        start = time.perf_counter()
        for worker in workers:
            assert worker.stdin
            worker.stdin.write("\n")
            worker.stdin.flush()
        codes = [worker.wait() for worker in workers]
        assert not any(codes)
        seconds[count] = time.perf_counter() - start
    return {
        "name": "two processes of dlib's calls alone, calls per second",
        "value": 2 * seconds[1] / seconds[2],
        "unit": "x",
        "peer": "one process: what the machine allows",
        "ratio": 2 * seconds[1] / seconds[2],
    }


def run() -> list[dict]:
    """All rows."""
    return [*measure_planning(), measure_machine(), *measure_workers()]


if __name__ == "__main__":
    for row in measure_planning() if sys.argv[1:] == ["planning"] else run():
        ratio = f"   {row['ratio']:.2f}x of {row['peer']}" if row["peer"] else ""
        print(f"{row['name']:<64} {row['value']:>10.4g} {row['unit']}{ratio}", flush=True)
