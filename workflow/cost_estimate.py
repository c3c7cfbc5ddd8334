"""Which jobs a whole run has, for the estimate of its costs.

They are found from Snakemake's own rules, without building its graph: the walk starts at the inputs of `all`
and goes from each file to the rule that makes it, as Snakemake does. The rules' input functions read the
plan, which is there already.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from snakemake.iocontainers import Wildcards
from snakemake.output_index import OutputIndex

# Files of one photo or person by name: the same that a rule writes for a whole shard.
BY_NAME = {
    "export_photo": "export_coarse",
    "export_photo_detail": "export_detail",
    "export_named_person": "export_person",
}


@dataclass
class JobCount:
    """Jobs of one rule on one set: how many, how many of them done, and GPUs that each asks for."""

    jobs: int = 0
    done: int = 0
    gpus: int = 0


class CostEstimate:
    """The part of `planning.Plan` that says what there is to do."""

    settings: Any
    root: Path
    results: str
    is_synthesized: Any
    set_plan: Any

    @property
    def measured_costs(self) -> list[str]:
        """Tables of what jobs took in other runs."""
        given = [str(Path(path).expanduser()) for path in self.settings.estimate_costs.measured]
        return given or sorted(map(str, (self.root / "resources" / "costs").glob("*.csv")))

    def planned_jobs(self, rules: Iterable[Any]) -> list[list[Any]]:
        """[rule, set, jobs, done, photos per job, GPUs] of the whole run, in the order of the rules."""
        rules = list(rules)
        counts = count_jobs(rules, "all")
        found = []
        for rule in rules:
            for name, count in sorted(counts.get(rule.name, {}).items()):
                photos = self._photos(name) / count.jobs if name else 1
                found.append([rule.name, name, count.jobs, count.done, photos, count.gpus])
        return found

    def outputs_of(self, rules: Iterable[Any]) -> list[list[str]]:
        """[path below the results with {wildcards}, rule]; files by name belong to the rule of the shard."""
        begin = f"{self.results}/"
        plans = [["photos/{set}/plan", "plan"], ["multiview/plan", "plan"]]
        return plans + [
            [str(output).removeprefix(begin), BY_NAME.get(rule.name, rule.name)]
            for rule in rules
            for output in rule.output
            if str(output).startswith(begin)
        ]

    def _photos(self, name: str) -> int:
        """Photos of a set, or pictures of a synthetic one."""
        if self.is_synthesized(name):
            task = self.settings.synthesis.photos[name]
            return int(task.identities * task.photos_per_identity)
        return int(self.set_plan(name).count)


def count_jobs(rules: Iterable[Any], target: str) -> dict[str, dict[str, JobCount]]:
    """Jobs by rule and set of what the rule `target` needs, itself not counted.

    A job is done when all its outputs are there.
    """
    rules = list(rules)
    index = OutputIndex(rules)
    start = next(rule for rule in rules if rule.name == target)
    waiting: list[tuple[Any, dict[str, str]]] = [(start, {})]
    seen: set[tuple[str, tuple[tuple[str, str], ...]]] = set()
    known: set[str] = set()
    counts: dict[str, dict[str, JobCount]] = {}
    while waiting:
        rule, wildcards = waiting.pop()
        if rule is not start:
            count = counts.setdefault(rule.name, {}).setdefault(set_of(wildcards), JobCount())
            count.jobs += 1
            count.gpus = rule.resources["gpu"].value if "gpu" in rule.resources else 0
            count.done += all(Path(str(file)).exists() for file in rule.expand_output(wildcards)[0])
        inputs, _, dependencies, _ = rule.expand_input(Wildcards(fromdict=wildcards))
        for file in map(str, inputs):
            if file in known:
                continue
            known.add(file)
            maker = next((dependencies[f] for f in dependencies if str(f) == file), None)
            maker = maker or next(iter(index.match_producers(file) - {rule}), None)
            if maker is not None:
                found = dict(maker.get_wildcards(file))
                job = (maker.name, tuple(sorted(found.items())))
                if job not in seen:
                    seen.add(job)
                    waiting.append((maker, found))
    return counts


def set_of(wildcards: dict[str, str]) -> str:
    """The set, or the synthetic data set, whose photos a job works on; empty for jobs of other things."""
    if "photo" in wildcards or "person" in wildcards:
        return ""
    return wildcards.get("set") or (wildcards.get("name", "") if "shard" in wildcards else "")
