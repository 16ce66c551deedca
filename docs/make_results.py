"""Train every shipped spec with three seeds and write docs/results.md and the table of docs/hybrids.md.

``python docs/make_results.py``.  Seven specs that represent the mechanisms are trained on four tasks, the other published
algorithms on three of them, the other hybrids on two.  Each finished run is recorded as a line of ``docs/results.jsonl``, so
a study can be spread over days and machines: a recorded run is not repeated unless its settings have changed, and an
interrupted one (``runs/results``) is resumed.  Two runs execute at a time, each on one thread, which uses two cores better
than one run on two threads.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from records import DOCS, Record, Records, fill, fingerprint, table

from flowrl_dsl import __version__
from flowrl_dsl.runtime.curves import Curve, Series, curves_of, read_evaluations
from flowrl_dsl.runtime.plot import draw

RUNS = DOCS.parent / "runs" / "results"
RECORDS = Records("results.jsonl")
SEEDS = (0, 1, 2)

QUICK_CRITIC = ("critic.network=mlp([128, 128])", "critic.optimizer=adam(1e-3)")
QUICK = (*QUICK_CRITIC, "policy.network=mlp([64, 64], activation = mish)", "policy.optimizer=adam(1e-3)", "train.batch=64")
"""Small networks and batches, and learning rates suitable for such short runs."""
STEADY = "policy.optimizer=adam(3e-4)"
"""For policies whose gradient flows through a clipping sampler or a tanh: at 1e-3 all actions saturate at a bound, where the
gradient is 0."""
DENOISING = (*QUICK, "policy.backbone.obs=[64, 64]", "policy.backbone.time=fourier(16, hidden = 32)")
SMALL = (*DENOISING, "policy.sampler.steps=5")
FEW = "weighted_regression.particles=8 from old_policy"
QUICK_DUAL = "temperature=learned(1.0, target_kl = 1.0, optimizer = adam(3e-3))"
"""With 8 particles log N is 2.1 instead of 4.2, so the target divergence is lower; and at 3e-4 the temperature would need
most of such a short run to reach its final value."""
MIRROR = (*SMALL, FEW, QUICK_DUAL)
REVERSE = (*SMALL, "score_matching.reverse=32")
CUT = "score_matching.target=shortened(-(sigma / alpha) * sum(w * g / scale, over = reverse), 3)"
"""Clipped to the length of the noise; docs/results.md explains why."""

OFTEN = tuple(f"{name}=copy(every = 50)" for name in ("encoder.target", "critic.target", "critic.seen"))
"""Values propagate one step further back at each refresh: every 250 updates that is 80 steps in such a short run."""
TD7 = (
    "critic.network=mlp([128, 128], activation = elu)",
    "critic.optimizer=adam(1e-3)",
    "policy.network=mlp([64, 64])",
    STEADY,
    "policy.target=copy(every = 50)",
    "train.batch=64",
    "encoder.size=128",
    "encoder.input_layer=128",
    "encoder.network=mlp([128, 128], activation = elu)",
    "encoder.optimizer=adam(1e-3)",
)
TWICE = ("train.updates=2", "order=critic -> targets -> every(2, policy -> temperature)")
"""Two critic updates a step in place of twenty, and one of the policy, as with twenty."""
MAIN: dict[str, tuple[str, ...]] = {
    "sac": (),
    "td3": (),
    "qsm": (),
    "diffusion_bptt": (*SMALL, STEADY),
    "dpmd": MIRROR,
    "qvpo": (*SMALL, "selection.particles=16 from policy"),
    "qsm_dpmd": MIRROR,
}
"""One or two specs of each mechanism, with their command-line settings; sac, td3 and qsm run at their full settings."""
AT_FULL = ("sac", "td3", "qsm")
SMALLER = ("policy.network=mlp([256, 256])", "critic.network=mlp([256, 256])", "train.batch=256")
"""For these, in place of the networks of 512-512-512 units and batches of 512 of their blocks for DeepMind Control."""
SCORES: dict[str, tuple[str, ...]] = {
    "sdac": REVERSE,
    "idem": (*REVERSE, CUT),
    "rfm": REVERSE,
    "rfm_flow": REVERSE,
    "qsm_hl_gauss": (*SMALL, STEADY),
    "nclql": (*QUICK_CRITIC, "train.batch=64"),
}
MIRRORS: dict[str, tuple[str, ...]] = dict.fromkeys(("fpmd", "gempo_exp", "gempo_linear", "gempo_square"), MIRROR)
GRADIENTS: dict[str, tuple[str, ...]] = {
    "dacer": (*SMALL, STEADY),
    "dime": (*SMALL, STEADY),
    "driftpo": (*QUICK, "drift.others=16"),
    "td7": (*TD7, *OFTEN),
    "redq": (*QUICK_CRITIC, "train.batch=64", *TWICE),
}
OTHERS = SCORES | MIRRORS | GRADIENTS
"""The other published specs: scores of densities, reweighted proposals, and policies that follow the critic's gradient."""
HYBRIDS: dict[str, tuple[str, ...]] = {
    "sdac_quantile": REVERSE,
    "edm_mirror": (*DENOISING, FEW, QUICK_DUAL),
    "flow_anchor": (*DENOISING, FEW, QUICK_DUAL, "anchor=linear(1.0 -> 0.1, over = 10_000)"),
    "drift_entropy": (*QUICK, "drift.particles=16"),
    "dime_redq": (*SMALL, STEADY, *TWICE),
    "qsm_td7": (*SMALL, "encoder.network=mlp([64, 64], activation = elu)", "encoder.input_layer=64", *OFTEN),
}
"""The hybrids except qsm_dpmd, which is in the first group."""
SPECS = MAIN | OTHERS | HYBRIDS


@dataclass(frozen=True)
class Task:
    """A task, its budget in environment steps, the uniformly random ones at the start, and how often to evaluate."""

    name: str
    steps: int
    warmup: int
    evaluate_every: int = 2_500
    action_repeat: int = 1


TASKS = (
    Task("InvertedPendulum-v5", 20_000, 1_000),
    Task("Reacher-v5", 15_000, 1_000),
    Task("dm_control/cartpole-swingup", 15_000, 1_000, action_repeat=2),
    Task("HalfCheetah-v5", 25_000, 5_000, evaluate_every=5_000),
)
OF_MAIN = ("Reacher-v5",)
"""Tasks of the first group only."""
OF_ALL = ("InvertedPendulum-v5", "dm_control/cartpole-swingup")
"""Tasks of all groups."""


@dataclass(frozen=True)
class Job:
    spec: str
    task: Task
    seed: int

    @property
    def folder(self) -> Path:
        return RUNS / self.spec / self.task.name.replace("/", "_") / f"seed{self.seed}"

    @property
    def sets(self) -> tuple[str, ...]:
        loop = (f"train.warmup={self.task.warmup}", f"train.action_repeat={self.task.action_repeat}")
        smaller = SMALLER if self.spec in AT_FULL and self.task.name.startswith("dm_control/") else ()
        return (*smaller, *SPECS[self.spec], *loop)

    @property
    def key(self) -> Record:
        """The fields that identify the record of this run."""
        return {
            "spec": self.spec,
            "task": self.task.name,
            "seed": self.seed,
            "steps": self.task.steps,
            "evaluate_every": self.task.evaluate_every,
            "algorithm": fingerprint(self.spec, self.task.name, self.sets),
        }

    def command(self) -> list[str]:
        base = [sys.executable, "-m", "flowrl_dsl.cli"]
        begun = self.folder / "run.json"
        if begun.exists() and json.loads(begun.read_text())["sets"] != list(self.sets):
            shutil.rmtree(self.folder)  # a run with outdated settings
        if begun.exists():
            return [*base, "resume", str(self.folder)]
        options = ["--task", self.task.name, "--seed", str(self.seed), "--steps", str(self.task.steps)]
        options += ["--evaluate-every", str(self.task.evaluate_every), "--out", str(self.folder)]
        return [*base, "train", self.spec, *options, *(word for value in self.sets for word in ("--set", value))]


# ------------------------------------------------------------------------------------------------------------ running


def run(job: Job) -> None:
    """Execute one run in its own process, on one thread; its output goes to the run's log."""
    if RECORDS.find(job.key):
        return
    RUNS.mkdir(parents=True, exist_ok=True)
    flags = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
    env = os.environ | {"XLA_FLAGS": flags, "OMP_NUM_THREADS": "1"}
    log = RUNS / f"{job.spec}-{job.task.name.replace('/', '_')}-{job.seed}.log"
    with log.open("w") as out:
        code = subprocess.run(job.command(), env=env, stdout=out, stderr=subprocess.STDOUT, check=False).returncode
    if code == 0:
        RECORDS.add(job.key | {"sets": list(job.sets)} | measured(job.folder))
    print(f"{'done' if code == 0 else f'failed with {code}'}: {job.spec} {job.task.name} seed {job.seed}", flush=True)


def measured(folder: Path) -> Record:
    """The measurements of a finished run."""
    returns = read_evaluations(folder).values
    trained, timing = (map(json.loads, (folder / name).open()) for name in ("metrics.jsonl", "timing.jsonl"))
    return {
        "version": __version__,
        "updates": max(line["updates"] for line in trained if line["kind"] == "train"),
        "updates_per_second": median(line["updates_per_second"] for line in timing if line["updates_per_second"]),
        "evaluated_at": list(returns),
        "return_mean": [round(mean, 2) for mean, _ in returns.values()],
        "return_std": [round(spread, 2) for _, spread in returns.values()],
    }


def jobs_of(specs: Iterable[str], seeds: Iterable[int], tasks: Iterable[Task]) -> list[Job]:
    """Jobs in order of seeds, so that an interrupted study covers every spec."""
    jobs = (Job(spec, task, seed) for seed in seeds for task in tasks for spec in specs)
    return [job for job in jobs if job.task.name in _tasks_of(job.spec)]


def _tasks_of(spec: str) -> list[str]:
    names = [task.name for task in TASKS]
    if spec in MAIN:
        return names
    return [name for name in names if name not in OF_MAIN and (spec in OTHERS or name in OF_ALL)]


# ------------------------------------------------------------------------------------------------------------ writing


def curves() -> dict[tuple[str, str], Curve]:
    """The curve of each spec and task with a recorded run."""
    found = (RECORDS.shown(job.key) for job in jobs_of(SPECS, SEEDS, TASKS))
    return {(curve.spec, curve.task): curve for curve in curves_of([_evaluations(record) for record in found if record])}


def _evaluations(record: Record) -> Series:
    values = zip(record["return_mean"], record["return_std"], strict=True)
    return Series(record["task"], record["spec"], (), dict(zip(record["evaluated_at"], values, strict=True)))


def returns_of(found: dict[tuple[str, str], Curve], specs: Iterable[str], tasks: list[Task]) -> str:
    """Final inter-quartile means with intervals, one row per spec."""
    rows = [[_marked(spec), *(_final(found.get((spec, task.name))) for task in tasks)] for spec in specs]
    return table(["spec", *(task.name for task in tasks)], rows)


def _marked(spec: str) -> str:
    """The name of a spec, marked where some of its runs are of an earlier form."""
    return spec + RECORDS.mark(job.key for job in jobs_of([spec], SEEDS, TASKS))


def _final(curve: Curve | None) -> str:
    if curve is None:
        return "not run"
    if curve.seeds < len(SEEDS):
        return f"{curve.center[-1]:.1f} (seeds: {curve.seeds})"
    return f"{curve.center[-1]:.1f} [{curve.low[-1]:.1f}, {curve.high[-1]:.1f}]"


def speed(found: dict[tuple[str, str], Curve], specs: Iterable[str], tasks: list[Task]) -> str:
    """Environment steps, and seconds of training, until a spec's mean first reaches a mark.

    The mark is the midpoint between the lowest mean at the first evaluation and the median over specs of the best mean.
    """
    marks = {}
    for task in tasks:
        of_task = [curve for (_, name), curve in found.items() if name == task.name]
        if of_task:
            low, high = min(curve.center[0] for curve in of_task), median(curve.center.max() for curve in of_task)
            marks[task.name] = (low + high) / 2
    rows = [[_marked(spec), *(_reached(found.get((spec, task.name)), task, marks) for task in tasks)] for spec in specs]
    return table(["spec", *(f"{task.name} (at {marks.get(task.name, 0):.0f})" for task in tasks)], rows)


def _reached(curve: Curve | None, task: Task, marks: dict[str, float]) -> str:
    if curve is None:
        return "not run"
    there = curve.steps[curve.center >= marks[task.name]]
    if not len(there):
        return "not reached"
    found = [RECORDS.shown(Job(curve.spec, task, seed).key) for seed in SEEDS]
    seconds = median(r["updates"] / r["updates_per_second"] for r in found if r)
    return f"{there[0] / 1000:g} k, {seconds * (there[0] - task.warmup) / (task.steps - task.warmup):.0f} s"


def write() -> None:
    """Write the tables of docs/results.md and docs/hybrids.md, and their figures."""
    found = curves()
    shared = [task for task in TASKS if task.name not in OF_MAIN]
    of_all = [task for task in TASKS if task.name in OF_ALL]
    for page, mark, group, tasks in (
        ("results.md", "main", MAIN, list(TASKS)),
        ("results.md", "scores", SCORES, shared),
        ("results.md", "mirrors", MIRRORS, shared),
        ("results.md", "gradients", GRADIENTS, shared),
        ("hybrids.md", "returns", ["qsm_dpmd", *HYBRIDS], of_all),
    ):
        drawn = [curve for (spec, _), curve in found.items() if spec in group]
        if drawn:
            picture = f"{Path(page).stem}_{mark}.png"
            draw(drawn, DOCS / picture)
            fill(page, mark, f"{returns_of(found, group, tasks)}\n\n![learning curves]({picture})")
    fill("results.md", "speed", speed(found, [*MAIN, *OTHERS], shared))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only-write", action="store_true", help="run nothing; write the pages from the recorded runs")
    parser.add_argument("--jobs", type=int, default=2, help="how many run at a time")
    parser.add_argument("--specs", nargs="+", default=list(SPECS), choices=list(SPECS))
    parser.add_argument("--seeds", nargs="+", type=int, default=list(SEEDS))
    parser.add_argument("--tasks", nargs="+", default=[t.name for t in TASKS], choices=[t.name for t in TASKS])
    asked = parser.parse_args()
    if not asked.only_write:
        jobs = jobs_of(asked.specs, asked.seeds, [task for task in TASKS if task.name in asked.tasks])
        with ThreadPoolExecutor(asked.jobs) as pool:
            list(pool.map(run, jobs))
    write()


if __name__ == "__main__":
    main()
