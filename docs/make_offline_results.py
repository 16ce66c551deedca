"""Collect data sets, train every offline spec on them with three seeds, and write docs/results_offline.md.

``python docs/make_offline_results.py``.  For each task one policy is trained; ``collect`` writes sets of it while it is
weak, middling and good, and one of its replay.  Each finished run is recorded as a line of ``docs/results_offline.jsonl``: a
recorded run is not repeated unless its settings have changed, an interrupted one (``runs/offline``) is resumed.  The seeds
of a spec on a set are one population, which compiles once.  One process runs at a time, on one thread.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from statistics import median

import numpy as np
from records import DOCS, Record, Records, fill, fingerprint, table

from flowrl_dsl import __version__
from flowrl_dsl.runtime.curves import RETURN, Curve, Series, curves_of, read_evaluations
from flowrl_dsl.runtime.plot import draw

RUNS = DOCS.parent / "runs" / "offline"
SETS = RUNS / "sets"
RECORDS = Records("results_offline.jsonl")
SEEDS = (0, 1, 2)
UPDATES, EVALUATE_EVERY = 5_000, 1_250
EPISODES = 5

TEACHER = "redq"
TEACHING = (
    "critic.network=mlp([128, 128])",
    "critic.optimizer=adam(1e-3)",
    "policy.network=mlp([64, 64])",
    "policy.optimizer=adam(1e-3)",
    "train.batch=64",
    "train.updates=2",
    "order=critic -> targets -> every(2, policy -> temperature)",
)
"""The spec and the settings of the policies that the sets are collected with: those of redq in docs/results.md."""


@dataclass(frozen=True)
class Task:
    """A task: the steps after which its policy is weak, middling and good, and the steps of a collected set."""

    name: str
    trained: tuple[int, int, int]
    collected: int
    warmup: int = 1_000
    action_repeat: int = 1

    @property
    def short(self) -> str:
        return self.name.split("/")[-1].split("-v")[0].lower()

    @property
    def teacher(self) -> Path:
        """The run folder of its policy."""
        return RUNS / "teachers" / self.short

    @property
    def loop(self) -> tuple[str, ...]:
        return (f"train.warmup={self.warmup}", f"train.action_repeat={self.action_repeat}")


TASKS = (
    Task("InvertedDoublePendulum-v5", (3_000, 5_000, 15_000), 10_000),
    Task("HalfCheetah-v5", (12_500, 17_500, 25_000), 20_000, warmup=5_000),
    Task("dm_control/cartpole-swingup", (5_000, 10_000, 15_000), 10_000, action_repeat=2),
)
LEVELS = ("weak", "middling", "good", "replay")
FIRST = ("middling", "replay", "good", "weak")
"""The order in which the sets are learned from: an interrupted study has the most telling ones."""
NOISE = 0.2
"""Standard deviation of the noise on collected actions.  Without it a state has one action, and values nothing to choose."""

RATE = 1e-3
FALLING = f"adam(cosine({RATE} -> 0, over = {UPDATES}))"
SMALL = ("policy.network=mlp([128, 128])", "train.batch=128")
VALUES = (
    "critic.network=mlp([128, 128])",
    f"critic.optimizer=adam({RATE})",
    "value.network=mlp([128, 128])",
    f"value.optimizer=adam({RATE})",
)
"""Half as wide as the specs and with a rate three times theirs, for a two-hundredth of their updates."""
IMPLICIT = (*SMALL, *VALUES, f"policy.optimizer={FALLING}")
NORMALISED = (*IMPLICIT, "value.network=mlp([128, 128], layer_norm = true)")
DENOISING = ("policy.network=mlp([128, 128], activation = mish)", f"policy.optimizer={FALLING}", "train.batch=128")
SPECS: dict[str, tuple[str, ...]] = {
    "bc": (*DENOISING, "policy.sampler.steps=10"),
    "iql": IMPLICIT,
    "sql": NORMALISED,
    "eql": NORMALISED,
    "idql": (*VALUES, *DENOISING, "policy.target=ema(0.005)"),
}
"""Every offline spec with its settings; one line adds one."""


# --------------------------------------------------------------------------------------------------------------- data sets


@dataclass(frozen=True)
class DataSet:
    """One collected set of a task."""

    task: Task
    level: str

    @property
    def name(self) -> str:
        return f"flowrl/{self.task.short}-{self.level}-v0"

    @property
    def metadata(self) -> Path:
        return SETS / self.name / "data" / "metadata.json"

    @property
    def key(self) -> Record:
        """The field that identifies the record of the set."""
        return {"set": self.name}

    def described(self) -> Record:
        """Its number of steps, its digest, and the returns of whole episodes in it."""
        from flowrl_dsl.datasets import load

        returns = json.loads(self.metadata.read_text())["flowrl_dsl"]["returns"]
        loaded = load(SETS / self.name)
        kept = {name: round(returns[name], 2) for name in ("mean", "std", "max")}
        return {"rows": len(loaded), "sha256": loaded.provenance.sha256, "returns": kept}


def make_sets(task: Task) -> None:
    """Train the policy of a task, and collect a set whenever it has taken the steps of a level."""
    for level, steps in zip(LEVELS, task.trained, strict=False):
        if DataSet(task, level).metadata.exists():
            continue
        if not (task.teacher / "run.json").exists():
            options = ["--task", task.name, "--steps", str(steps), "--evaluate-every", "2500", "--out", str(task.teacher)]
            call("train", TEACHER, *options, *settings((*TEACHING, *task.loop)))
        else:
            call("resume", str(task.teacher), "--steps", str(steps))
        collected = ["--steps", str(task.collected), "--noise", str(NOISE)]
        call("collect", str(task.teacher), *collected, "--out", DataSet(task, level).name)
    replay = DataSet(task, "replay")
    if not replay.metadata.exists():
        call("collect", str(task.teacher), "--replay", "--out", replay.name)
    for data in (DataSet(task, level) for level in LEVELS):
        if RECORDS.find(data.key) is None:
            RECORDS.add(data.key | data.described())


def settings(sets: Iterable[str]) -> list[str]:
    """As options of the command line."""
    return [word for value in sets for word in ("--set", value)]


def call(*words: str) -> None:
    """Execute a command of flowrl-dsl in its own process, on one thread; its output goes to the log of the study."""
    RUNS.mkdir(parents=True, exist_ok=True)
    SETS.mkdir(exist_ok=True)
    flags = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
    env = os.environ | {"XLA_FLAGS": flags, "OMP_NUM_THREADS": "1", "MINARI_DATASETS_PATH": str(SETS)}
    with (RUNS / "log.txt").open("a") as log:
        print("$ flowrl-dsl", *words, file=log, flush=True)
        subprocess.run([sys.executable, "-m", "flowrl_dsl.cli", *words], env=env, stdout=log, stderr=log, check=True)


# -------------------------------------------------------------------------------------------------------------------- runs


@dataclass(frozen=True)
class Job:
    """The population of one spec on one set."""

    spec: str
    data: DataSet

    @property
    def folder(self) -> Path:
        return RUNS / self.spec / f"{self.data.task.short}-{self.data.level}"

    @property
    def sets(self) -> tuple[str, ...]:
        return (*SPECS[self.spec], f"train.action_repeat={self.data.task.action_repeat}")

    def key(self, seed: int) -> Record:
        """The fields that identify the record of one seed."""
        return {
            "spec": self.spec,
            "task": self.data.task.name,
            "level": self.data.level,
            "seed": seed,
            "updates": UPDATES,
            "evaluate_every": EVALUATE_EVERY,
            "episodes": EPISODES,
            "algorithm": fingerprint(self.spec, self.data.task.name, self.sets),
        }

    def run(self) -> None:
        """Train and record the population, unless all its seeds have been recorded."""
        if all(RECORDS.find(self.key(seed)) for seed in SEEDS):
            return
        members = [self.folder / f"seed{seed}" for seed in SEEDS]
        if any((run / "run.json").exists() and said(run, "sets") != list(self.sets) for run in members):
            shutil.rmtree(self.folder)  # a population with outdated settings
        if (self.folder / "population.json").exists():
            call("resume", str(self.folder))
        else:
            shutil.rmtree(self.folder, ignore_errors=True)
            options = ["--task", self.data.task.name, "--data", self.data.name, "--seeds", str(len(SEEDS))]
            options += ["--steps", str(UPDATES), "--evaluate-every", str(EVALUATE_EVERY), "--episodes", str(EPISODES)]
            options += ["--out", str(self.folder)]
            call("train", self.spec, *options, *settings(self.sets))
        sha256 = self.data.described()["sha256"]
        for seed, run in zip(SEEDS, members, strict=True):
            RECORDS.add(self.key(seed) | {"sets": list(self.sets)} | measured(run) | {"data": sha256})


def said(run: Path, name: str) -> object:
    return json.loads((run / "run.json").read_text())[name]


def measured(run: Path) -> Record:
    """The measurements of a finished run."""
    returns = read_evaluations(run).values
    timing = [json.loads(line) for line in (run / "timing.jsonl").open()]
    return {
        "version": __version__,
        "updates_per_second": median(line["updates_per_second"] for line in timing if line["updates_per_second"]),
        "evaluated_at": list(returns),
        "return_mean": [round(mean, 2) for mean, _ in returns.values()],
        "return_std": [round(spread, 2) for _, spread in returns.values()],
    }


def study(specs: Iterable[str], tasks: Iterable[Task], levels: Iterable[str]) -> None:
    """Collect what is missing and train; bc comes first on every set, since all others are compared with it."""
    for task in tasks:
        make_sets(task)
    for level in sorted(levels, key=FIRST.index):
        for task in tasks:
            for spec in specs:
                job = Job(spec, DataSet(task, level))
                try:
                    job.run()
                except subprocess.CalledProcessError as error:
                    print(f"failed with {error.returncode}: {spec} on {job.data.name}", flush=True)


# ----------------------------------------------------------------------------------------------------------------- writing


def recorded(spec: str, data: DataSet) -> list[Record]:
    """The records of a spec on a set."""
    found = (RECORDS.shown(Job(spec, data).key(seed)) for seed in SEEDS)
    return [record for record in found if record is not None]


@cache
def curve(spec: str, data: DataSet) -> Curve | None:
    """The returns of a spec on a set over its updates, the inter-quartile mean of its seeds."""
    runs = [_evaluations(record) for record in recorded(spec, data)]
    return curves_of(runs)[0] if runs else None


def _evaluations(record: Record) -> Series:
    values = zip(record["return_mean"], record["return_std"], strict=True)
    by_step = dict(zip(record["evaluated_at"], values, strict=True))
    return Series(_panel(record["task"], record["level"]), record["spec"], (), by_step)


def _panel(task: str, level: str) -> str:
    return f"{task}, {level}"


def returns_of(task: Task) -> str:
    """A row for the behaviour and one for each spec, a column for each set."""
    sets = [DataSet(task, level) for level in LEVELS]
    behaviours = [RECORDS.find(data.key) for data in sets]
    means = [None if found is None else found["returns"] for found in behaviours]
    first = [f"{one['mean']:.1f} (best {one['max']:.1f})" if one is not None else "not collected" for one in means]
    return table(
        ["", *LEVELS],
        [["the data", *first], *([_marked(spec, sets), *(_final(spec, data) for data in sets)] for spec in SPECS)],
    )


def _marked(spec: str, sets: Iterable[DataSet]) -> str:
    return spec + RECORDS.mark(Job(spec, data).key(seed) for data in sets for seed in SEEDS)


def _final(spec: str, data: DataSet) -> str:
    """The final inter-quartile mean with its interval; bold where the interval is above that of bc."""
    found, cloned = curve(spec, data), curve("bc", data)
    if found is None:
        return "not run"
    text = f"{found.center[-1]:.1f} [{found.low[-1]:.1f}, {found.high[-1]:.1f}]"
    return f"**{text}**" if cloned is not None and found.low[-1] > cloned.high[-1] else text


def curves(task: Task) -> Iterator[Curve]:
    """All curves of a task, and the mean return of each set as a line."""
    for level in LEVELS:
        data = DataSet(task, level)
        found = RECORDS.find(data.key)
        drawn = [one for one in (curve(spec, data) for spec in SPECS) if one is not None]
        if found is not None and drawn:
            steps = drawn[0].steps
            mean = np.full(len(steps), found["returns"]["mean"])
            yield Curve(_panel(task.name, level), "the data", (), "", 1, steps, mean, mean, mean, RETURN, steps)
        yield from drawn


def write() -> None:
    """Write the tables of docs/results_offline.md and the figures."""
    for task in TASKS:
        drawn = list(curves(task))
        picture = f"results_offline_{task.short}.png"
        shown = returns_of(task)
        if drawn:
            draw(drawn, DOCS / picture, by="updates")
            shown += f"\n\n![learning curves]({picture})"
        fill("results_offline.md", task.short, shown)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only-write", action="store_true", help="run nothing; write the page from the recorded runs")
    parser.add_argument("--specs", nargs="+", default=list(SPECS), choices=list(SPECS))
    parser.add_argument("--levels", nargs="+", default=list(LEVELS), choices=LEVELS)
    parser.add_argument("--tasks", nargs="+", default=[t.short for t in TASKS], choices=[t.short for t in TASKS])
    asked = parser.parse_args()
    if not asked.only_write:
        study(asked.specs, [task for task in TASKS if task.short in asked.tasks], asked.levels)
    write()


if __name__ == "__main__":
    main()
