"""Train the shipped hybrids on a problem with a known answer and on a pendulum, and write docs/hybrids.md.

``python docs/make_hybrids.py``.  What was trained goes to ``runs/hybrids`` and is kept: repeat the command after an
interruption.  Two run at a time, each on one thread.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import make_known_answers as known

DOCS = Path(__file__).parent
RUNS = DOCS.parent / "runs" / "hybrids"
UPDATES, SHAPE = 2000, "ring"
TASK, STEPS, SEED, SOLVED = "InvertedPendulum-v5", 12_000, 0, 900
FLAGS = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"

SMALL = (
    "policy.network=mlp([64, 64], activation = mish)",
    "policy.optimizer=adam(1e-3)",
    "critic.network=mlp([64, 64])",
    "critic.optimizer=adam(1e-3)",
    "train.batch=64",
    "train.warmup=1000",
)
DENOISING = (*SMALL, "policy.backbone.obs=[]", "policy.backbone.time=fourier(16, hidden = 32)")
STEPPED = (*DENOISING, "policy.sampler.steps=5")
QUICK_DUAL = "temperature=learned(1.0, target_kl = 1.3, optimizer = adam(3e-3))"
OFTEN = tuple(f"{name}=copy(every = 50)" for name in ("encoder.target", "critic.target", "critic.seen"))
"""Values reach one step further back at each refresh: every 250 updates that is 44 steps in such a short run."""
FEW = "weighted_regression.particles=16 from old_policy"

SPECS: dict[str, tuple[str, tuple[str, ...]]] = {
    "qsm_dpmd": ("dpmd", (*STEPPED, FEW, QUICK_DUAL)),
    "sdac_quantile": ("sdac", (*STEPPED, "score_matching.reverse=32")),
    "edm_mirror": ("gempo_square", (*DENOISING, FEW, QUICK_DUAL)),
    "flow_anchor": ("fpmd", (*DENOISING, FEW, QUICK_DUAL, "anchor=linear(1.0 -> 0.1, over = 10_000)")),
    "drift_entropy": ("driftpo", (*SMALL, "drift.particles=16")),
    "dime_redq": ("dime", (*STEPPED, "train.updates=2", "order=critic -> targets -> every(2, policy -> temperature)")),
    "qsm_td7": ("qsm", (*STEPPED, "encoder.network=mlp([64, 64], activation = elu)", *OFTEN)),
}
"""For each hybrid the spec that it starts from, and what is set on the command line for the pendulum."""


def pendulum(spec: str) -> Path:
    return RUNS / f"{spec}-{TASK}"


def evaluations(spec: str) -> list[tuple[int, float]]:
    """Steps and returns of the evaluations of the pendulum's run so far."""
    metrics = pendulum(spec) / "metrics.jsonl"
    lines = map(json.loads, metrics.read_text().splitlines() if metrics.exists() else [])
    return [(line["step"], line["return_mean"]) for line in lines if line["kind"] == "eval"]


def toy(spec: str) -> None:
    """What the policy makes of a critic that is right, with the settings of docs/make_known_answers.py."""
    import numpy as np

    from flowrl_dsl.testing.known_answers import learn

    entry = known.SPECS[spec]
    found = learn(spec, SHAPE, sets=entry.sets, exact=entry.exact, updates=UPDATES, draws=known.DRAWS)
    np.savez(known.path_of(spec, SHAPE), actions=found.actions, sharpness=found.sharpness)


Job = tuple[str, list[str]]
"""The name of a log, and the command whose output goes there."""


def toys(specs: Iterable[str]) -> list[Job]:
    """What is left to run on the problem with a known answer."""
    left = [name for name in specs if not known.path_of(name, SHAPE).exists()]
    return [(f"{name}-{SHAPE}", [sys.executable, __file__, "--toy", name]) for name in left]


def pendulums(specs: Iterable[str]) -> list[Job]:
    """What is left to run on the pendulum."""
    left = []
    for spec in specs:
        folder, base = pendulum(spec), [sys.executable, "-m", "flowrl_dsl.cli"]
        options = ["--task", TASK, "--steps", str(STEPS), "--seed", str(SEED), "--evaluate-every", "2000"]
        options += [word for value in SPECS[spec][1] for word in ("--set", value)]
        start = [*base, "train", spec, *options, "--out", str(folder)]
        if max((step for step, _ in evaluations(spec)), default=0) < STEPS:
            left.append((folder.name, [*base, "resume", str(folder)] if (folder / "run.json").exists() else start))
    return left


def run(job: Job) -> None:
    name, command = job
    with (RUNS / f"{name}.log").open("w") as log:
        env = os.environ | {"XLA_FLAGS": FLAGS, "OMP_NUM_THREADS": "1"}
        code = subprocess.run(command, env=env, stdout=log, stderr=subprocess.STDOUT, check=False).returncode
    print(f"{'done' if code == 0 else f'failed with {code}'}: {name}", flush=True)


def table() -> str:
    """One row a hybrid."""
    lines = [f"| hybrid | {SHAPE} | its base on {SHAPE} | {TASK} | best | solved from |", "|---|---|---|---|---|---|"]
    for spec, (base, _) in SPECS.items():
        found = evaluations(spec)
        final = f"{found[-1][1]:.0f}" if found and found[-1][0] >= STEPS else "not run"
        best = f"{max(value for _, value in found):.0f}" if found else ""
        below = max((step for step, value in found if value < SOLVED), default=0)
        solved = next((f"{step / 1000:g} k" for step, _ in found if step > below), "")
        lines.append(f"| {spec} | {_toy_cell(spec)} | {base}: {_toy_cell(base)} | {final} | {best} | {solved} |")
    return "\n".join(lines)


def _toy_cell(spec: str) -> str:
    if not known.path_of(spec, SHAPE).exists():
        return "not run"
    found = known.score(spec, SHAPE)
    if known.SPECS[spec].aim == known.DENSITY:
        return f"{found.distance:.3f} ({found.distance / found.floor:.1f} x), {found.covered:.0%}"
    return f"{found.value - found.expected:+.2f}, {found.covered:.0%}"


def write() -> None:
    """The table between its marks in docs/hybrids.md."""
    page = DOCS / "hybrids.md"
    before, _, rest = page.read_text().partition("<!-- table -->")
    _, _, after = rest.partition("<!-- end of table -->")
    page.write_text(f"{before}<!-- table -->\n{table()}\n<!-- end of table -->{after}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only-write", action="store_true", help="train nothing; write the page from what there is")
    parser.add_argument("--specs", nargs="+", default=list(SPECS), choices=list(SPECS))
    parser.add_argument("--toy", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    # 2000 updates here, 4000 there: the two must not meet in one folder
    known.RUNS = RUNS
    RUNS.mkdir(parents=True, exist_ok=True)
    if asked.toy:
        toy(asked.toy)
        return
    if not asked.only_write:
        bases = list(dict.fromkeys(SPECS[spec][0] for spec in asked.specs))
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(run, [*pendulums(asked.specs), *toys([*asked.specs, *bases])]))
    write()


if __name__ == "__main__":
    main()
