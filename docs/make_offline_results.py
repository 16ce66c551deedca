"""Fill docs/results_offline.md with the results of the suites `offline` and `fine_tuning`, whose data sets it collects.

``python docs/make_offline_results.py``.  For each task one policy is trained; ``collect`` writes sets of it while it is
weak, middling and good, and one of its replay; ``docs/data_sets_offline.jsonl`` has the returns in them.  Then it runs what
``docs/results_offline.jsonl`` lacks, as ``flowrl-dsl suite run offline --population`` with a store that begins with these
results, adds the new ones to the file, and writes tables and figures; the same for `fine_tuning` and
``docs/results_fine_tuning.jsonl``.  ``--suites`` chooses one of them.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
from records import DOCS, Record, Records, fill, table
from studies import Study, recorded, run_suite

from flowrl_dsl import driver
from flowrl_dsl.runtime.curves import RETURN, Curve
from flowrl_dsl.runtime.plot import draw
from flowrl_dsl.suites.jobs import Job, jobs_of

RUNS = DOCS.parent / "runs" / "offline"
SETS = RUNS / "sets"
SUITES = ("offline", "fine_tuning")
KEPT_SETS = Records("data_sets_offline.jsonl")

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
TEACHER_BEGAN = "teacher_began"
"""Tells the sets of one policy from those of another: sets are collected anew where digests differ, on another processor."""
NOISE = 0.2
"""Standard deviation of the noise on collected actions.  Without it a state has one action, and values nothing to choose."""

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
    def place(self) -> str:
        """As the suite calls the task with this set."""
        return f"{self.task.name}, {self.name}"

    @property
    def metadata(self) -> Path:
        return SETS / self.name / "data" / "metadata.json"

    @property
    def key(self) -> Record:
        """The field that identifies the record of the set."""
        return {"set": self.name}

    def described(self) -> Record:
        """Its number of steps, its digest, the returns of whole episodes in it, and when its policy began to be trained."""
        from flowrl_dsl.datasets import load

        returns = json.loads(self.metadata.read_text())["flowrl_dsl"]["returns"]
        loaded = load(SETS / self.name)
        kept = {name: round(returns[name], 2) for name in ("mean", "std", "max")}
        began = json.loads((self.task.teacher / "run.json").read_text())["created"]
        return {"rows": len(loaded), "sha256": loaded.provenance.sha256, "returns": kept, TEACHER_BEGAN: began}


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
        described = data.key | data.described()
        if KEPT_SETS.find(data.key | {"sha256": described["sha256"]}) is None:
            KEPT_SETS.add(described)


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
        subprocess.run([sys.executable, "-m", "flowrl_dsl", *words], env=env, stdout=log, stderr=log, check=True)


# -------------------------------------------------------------------------------------------------------------------- runs


def records_of(suite: str) -> Path:
    """The committed results of a suite."""
    return DOCS / f"results_{suite}.jsonl"


@cache
def study(suite: str = "offline") -> Study:
    """A suite with its committed results."""
    kept = records_of(suite)
    return Study(jobs_of(driver.resolve_suite_or_raise(suite)), recorded(kept))


def known(of: Study, data: DataSet) -> Record | None:
    """The record of a set as the runs of a study had it; None where there are none.

    Of a set that no run learned from, it is the one with the policy of the others of its task.
    """
    digests = {job.place: job.question.data for job in of.jobs if of.shown(job) is not None}
    if data.place in digests:
        return KEPT_SETS.find(data.key | {"sha256": digests[data.place]})
    others = (DataSet(data.task, level) for level in LEVELS)
    near = next((known(of, other) for other in others if other.place in digests), None)
    return None if near is None else KEPT_SETS.find(data.key | {TEACHER_BEGAN: near.get(TEACHER_BEGAN)})


# ----------------------------------------------------------------------------------------------------------------- writing


def returns_of(of: Study, task: Task) -> str:
    """A row for the behaviour and one for each spec, a column for each set."""
    sets = [DataSet(task, level) for level in LEVELS]
    behaviours = [known(of, data) for data in sets]
    means = [None if found is None else found["returns"] for found in behaviours]
    first = [f"{one['mean']:.1f} (best {one['max']:.1f})" if one is not None else "not collected" for one in means]
    rows = [[of.marked(spec, task.name), *(_final(of, spec, data) for data in sets)] for spec in of.specs]
    return table(["", *LEVELS], [["the data", *first], *rows])


def _final(of: Study, spec: str, data: DataSet) -> str:
    """The final inter-quartile mean with its interval; bold where the interval is above that of bc."""
    found, cloned = of.curves.get((spec, data.place)), of.curves.get(("bc", data.place))
    if found is None:
        return "not run"
    text = f"{found.center[-1]:.1f} [{found.low[-1]:.1f}, {found.high[-1]:.1f}]"
    return f"**{text}**" if cloned is not None and found.low[-1] > cloned.high[-1] else text


def summary(of: Study) -> str:
    """For each spec on how many sets it is above and below bc, and its mean return for each kind of set.

    A spec is above where its whole interval is above that of bc.  Means are over tasks, in per cent of the mean return of
    the task's set *good*; a dash where a task is missing.
    """
    titles = ["", "above bc", "below bc", *LEVELS]
    return table(titles, [[of.marked(spec), *_against_cloning(of, spec), *_shares(of, spec)] for spec in of.specs])


def _against_cloning(of: Study, spec: str) -> tuple[str, str]:
    """The numbers of sets above and below bc, of those that both have run on."""
    places = [DataSet(task, level).place for task in TASKS for level in LEVELS]
    pairs = [(of.curves.get((spec, place)), of.curves.get(("bc", place))) for place in places]
    both = [(one, cloned) for one, cloned in pairs if one is not None and cloned is not None]
    above = sum(one.low[-1] > cloned.high[-1] for one, cloned in both)
    below = sum(one.high[-1] < cloned.low[-1] for one, cloned in both)
    return f"{above} of {len(both)}", f"{below} of {len(both)}"


def _shares(of: Study, spec: str) -> Iterator[str]:
    """The mean return of each kind of set in per cent of that of the good policies."""
    for level in LEVELS:
        shares = []
        for task in TASKS:
            found, good = of.curves.get((spec, DataSet(task, level).place)), known(of, DataSet(task, "good"))
            if found is not None and good is not None:
                shares.append(100 * found.center[-1] / good["returns"]["mean"])
        yield f"{fmean(shares):.0f}" if len(shares) == len(TASKS) else "-"


def curves(of: Study, task: Task) -> Iterator[Curve]:
    """All curves of a task, and the mean return of each set as a line."""
    for level in LEVELS:
        data = DataSet(task, level)
        panel, found = f"{task.name}, {level}", known(of, data)
        drawn = [replace(curve, task=panel) for (_, place), curve in of.curves.items() if place == data.place]
        if found is not None and drawn:
            steps = drawn[0].steps
            mean = np.full(len(steps), found["returns"]["mean"])
            yield Curve(panel, "the data", (), "", 1, steps, mean, mean, mean, RETURN, steps)
        yield from drawn


FINE_TUNED = {
    "rlpd": ("rlpd (prior)", "rlpd (prior_alone)"),
    "fql_online": ("fql_online", "fql"),
    "qc": ("qc (chunks)", "qc (chunks_alone)"),
    "qc_fql": ("qc_fql (student_of_chunks)", "qc_fql (student_of_chunks_alone)"),
    "calql": ("calql (calibrated)", "calql (calibrated_alone)"),
    "expo": ("expo (edits)", "expo (edits_alone)"),
}
"""A spec, and how the suite calls it with a data set and without one."""


def fine_tuned(of: Study) -> str:
    """For each spec and task the environment steps until the good policy, with the data and without; the final returns."""
    tasks = [task for task in TASKS if task.name in of.tasks]
    titles = [f"{task.name}, {how}" for task in tasks for how in ("with data", "without")]
    rows = [
        [spec, *(_reached(of, one, task, place) for task in tasks for one, place in pair(*names, task))]
        for spec, names in FINE_TUNED.items()
    ]
    return table(["", *titles], rows)


def pair(spec: str, alone: str, task: Task) -> tuple[tuple[str, str], tuple[str, str]]:
    """The names and places of a spec with the middling set of a task and without data."""
    return (spec, DataSet(task, "middling").place), (alone, task.name)


def steps_to_good(of: Study, spec: str, task: Task, place: str) -> int | None:
    """The environment steps until the mean over seeds first reaches the mean return of the set of the good policy."""
    curve, good = of.curves.get((spec, place)), known(of, DataSet(task, "good"))
    if curve is None or good is None:
        return None
    offline = _updates_before(of.of(spec, place)[0])
    there = curve.steps[(curve.center >= good["returns"]["mean"]) & (curve.steps >= offline)]
    return int(there[0] - offline) if len(there) else None


def _reached(of: Study, spec: str, task: Task, place: str) -> str:
    """Where a spec reaches the good policy, and where it ends."""
    curve, steps = of.curves.get((spec, place)), steps_to_good(of, spec, task, place)
    if curve is None:
        return "not run"
    return f"{'not reached' if steps is None else f'{steps} steps'}; ends at {curve.center[-1]:.1f}"


def _updates_before(job: Job) -> int:
    """The steps of its phases that do not act."""
    algorithm, _ = driver.resolve_or_raise(job.path, job.question.task, job.sets)
    train: Any = algorithm.sections["train"]
    return int(train.in_phases(algorithm).get("offline", 0))


def write_fine_tuning() -> None:
    """Write the table of the fine-tuned specs, and its figure."""
    of = study("fine_tuning")
    shown = fine_tuned(of)
    panels = [(one, place) for one in TASKS for place in (DataSet(one, "middling").place, one.name)]
    drawn = [
        replace(curve, task=f"{one.short}, {'alone' if place == one.name else 'with data'}")
        for one, place in panels
        for (_, where), curve in of.curves.items()
        if where == place
    ]
    if drawn:
        draw(drawn, DOCS / "results_fine_tuning.png")
        shown += "\n\n![learning curves](results_fine_tuning.png)"
    fill("results_offline.md", "fine_tuning", shown)


def write() -> None:
    """Write the tables of docs/results_offline.md and the figures."""
    write_fine_tuning()
    of = study()
    fill("results_offline.md", "summary", summary(of))
    for task in TASKS:
        drawn = list(curves(of, task))
        picture = f"results_offline_{task.short}.png"
        shown = returns_of(of, task)
        if drawn:
            draw(drawn, DOCS / picture, by="updates")
            shown += f"\n\n![learning curves]({picture})"
        fill("results_offline.md", task.short, shown)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only-sets", action="store_true", help="make the data sets alone")
    parser.add_argument("--only-write", action="store_true", help="run nothing; write the page from the recorded runs")
    parser.add_argument("--suites", nargs="+", default=list(SUITES), choices=list(SUITES))
    parser.add_argument("--jobs", help="how many runs or populations are trained at a time")
    parser.add_argument("--specs", nargs="+")
    parser.add_argument("--levels", nargs="+", default=list(LEVELS), choices=LEVELS)
    parser.add_argument("--tasks", nargs="+", default=[t.short for t in TASKS], choices=[t.short for t in TASKS])
    asked = parser.parse_args()
    tasks = [task for task in TASKS if task.short in asked.tasks]
    if not asked.only_write:
        for task in tasks:
            make_sets(task)
    if not asked.only_sets and not asked.only_write:
        chosen = {"--specs": asked.specs, "--jobs": [asked.jobs] if asked.jobs else []}
        words = ["--population", *(word for option, given in chosen.items() if given for word in (option, *given))]
        places = {
            "offline": ["--data", *(DataSet(task, level).name for task in tasks for level in asked.levels)],
            "fine_tuning": ["--tasks", *(task.name for task in tasks if task.name in study("fine_tuning").tasks)],
        }
        env = os.environ | {"MINARI_DATASETS_PATH": str(SETS)}
        for suite in (suite for suite in asked.suites if places[suite][1:]):
            run_suite(suite, RUNS / suite, records_of(suite), [*words, *places[suite]], env)
    if not asked.only_sets:
        write()


if __name__ == "__main__":
    main()
