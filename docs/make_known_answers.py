"""Train every shipped spec on problems with known answers and write docs/known_answers.md.

``python docs/make_known_answers.py``.  What was trained goes to ``runs/known_answers`` and is kept: repeat the command after
an interruption.  Two run at a time, each on one thread.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache
from multiprocessing import get_context
from pathlib import Path

DOCS = Path(__file__).parent
RUNS = DOCS.parent / "runs" / "known_answers"
SHAPES = ("ring", "moons", "uneven", "checkerboard")
UPDATES, DRAWS = 4000, 2000

SMALL = ("policy.network=mlp([128, 128], activation = mish)", "policy.optimizer=adam(1e-3)", "train.batch=256")
DENOISING = (*SMALL, "policy.backbone.obs=[]")
MIRROR = (*DENOISING, "weighted_regression.particles=32 from old_policy", "policy.old=copy(every = 250)")
REVERSE = (*DENOISING, "score_matching.reverse=128")
DENSITY, VALUE = "density", "value"


@dataclass(frozen=True)
class Entry:
    """What a spec is after, a ``density`` or the highest ``value``, what is set for it, and whether its Q is exact."""

    aim: str
    sets: tuple[str, ...]
    exact: bool = True


SPECS: dict[str, Entry] = {
    "sdac": Entry(DENSITY, (*REVERSE, "temperature=0.1")),
    "idem": Entry(DENSITY, REVERSE),
    "rfm": Entry(DENSITY, (*REVERSE, "temperature=0.1")),
    "rfm_flow": Entry(DENSITY, (*REVERSE, "temperature=0.1")),
    "qsm": Entry(DENSITY, DENOISING),
    "dime": Entry(DENSITY, (*DENOISING, "temperature=0.1")),
    "sdac_quantile": Entry(DENSITY, (*REVERSE, "temperature=0.1")),
    "dime_redq": Entry(DENSITY, (*DENOISING, "temperature=0.1", "order=critic -> targets -> policy")),
    "qsm_td7": Entry(DENSITY, (*DENOISING, "train.sampling=uniform")),
    "dpmd": Entry(VALUE, MIRROR),
    "fpmd": Entry(VALUE, MIRROR),
    "gempo_exp": Entry(VALUE, MIRROR),
    "gempo_linear": Entry(VALUE, MIRROR),
    "gempo_square": Entry(VALUE, MIRROR),
    "qvpo": Entry(VALUE, (*DENOISING, "selection.particles=32 from policy")),
    "qsm_dpmd": Entry(VALUE, (*DENOISING, "policy.old=copy(every = 250)")),
    "edm_mirror": Entry(VALUE, MIRROR),
    "flow_anchor": Entry(VALUE, (*DENOISING, "policy.old=copy(every = 250)", "anchor=0.3")),
    "drift_entropy": Entry(VALUE, (*SMALL, "train.batch=128", "drift.particles=16")),
    "diffusion_bptt": Entry(VALUE, DENOISING),
    "dacer": Entry(VALUE, DENOISING),
    "driftpo": Entry(VALUE, SMALL),
    "nclql": Entry(VALUE, ("critic.backup=r", "critic.optimizer=adam(1e-3)", "train.batch=256"), exact=False),
    "sac": Entry(VALUE, SMALL),
    "redq": Entry(VALUE, SMALL),
    "td3": Entry(VALUE, SMALL),
}


def path_of(spec: str, shape: str) -> Path:
    return RUNS / f"{spec}-{shape}.npz"


def train(job: tuple[str, str]) -> str:
    """Train one spec on one shape and keep what it draws."""
    import numpy as np

    from flowrl_dsl.testing.known_answers import learn

    spec, shape = job
    entry = SPECS[spec]
    found = learn(spec, shape, sets=entry.sets, exact=entry.exact, updates=UPDATES, draws=DRAWS)
    RUNS.mkdir(parents=True, exist_ok=True)
    np.savez(path_of(spec, shape), actions=found.actions, sharpness=found.sharpness)
    return f"done: {spec} {shape}"


@dataclass(frozen=True)
class Score:
    """``distance`` to the density and ``floor``, that of exact scores; share of regions ``covered``; means of log p."""

    distance: float
    covered: float
    value: float
    floor: float
    expected: float


@cache
def reference(shape: str, sharpness: float) -> tuple:
    """The density, draws of it, and the distance to it of a sampler that is given the exact score."""
    from flowrl_dsl.testing.known_answers import Answer, sampled_exactly, sliced_wasserstein

    answer = Answer.of(shape, sharpness)
    drawn = answer.draw(DRAWS, seed=0)
    return answer, drawn, sliced_wasserstein(sampled_exactly(answer, DRAWS), drawn)


def score(spec: str, shape: str) -> Score:
    import numpy as np

    from flowrl_dsl.components.critics.known import known_value
    from flowrl_dsl.testing.known_answers import coverage, sliced_wasserstein

    kept = np.load(path_of(spec, shape))
    actions, sharpness = kept["actions"], float(kept["sharpness"])
    answer, drawn, floor = reference(shape, round(sharpness, 1) if SPECS[spec].aim == DENSITY else 1.0)
    value = float(np.mean(np.asarray(known_value(actions, shape))))
    covered = coverage(actions, answer, shape)
    return Score(sliced_wasserstein(actions, drawn), covered, value, floor, answer.expected())


def table(aim: str) -> str:
    """One row a spec, one column a shape."""
    lines = ["| spec | " + " | ".join(SHAPES) + " |", "|---|" + "---|" * len(SHAPES)]
    for spec, entry in SPECS.items():
        if entry.aim == aim:
            cells = [_cell(spec, shape, aim) for shape in SHAPES]
            lines.append(f"| {spec} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _cell(spec: str, shape: str, aim: str) -> str:
    if not path_of(spec, shape).exists():
        return "not run"
    found = score(spec, shape)
    if aim == DENSITY:
        return f"{found.distance:.3f} ({found.distance / found.floor:.1f} x), {found.covered:.0%}"
    return f"{found.value - found.expected:+.2f}, {found.covered:.0%}"


def picture(specs: Sequence[str], target: Path) -> None:
    """Draws over the density, one row a spec, one column a shape; the first row has draws of the density itself."""
    import matplotlib
    import numpy as np

    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    rows = ["exact", *specs]
    figure, panels = plt.subplots(len(rows), len(SHAPES), figsize=(2 * len(SHAPES), 2 * len(rows)), squeeze=False)
    for row, spec in enumerate(rows):
        for column, shape in enumerate(SHAPES):
            panel = panels[row][column]
            kept = np.load(path_of(spec, shape)) if spec != "exact" and path_of(spec, shape).exists() else None
            density = spec != "exact" and SPECS[spec].aim == DENSITY and kept is not None
            answer, drawn, _ = reference(shape, round(float(kept["sharpness"]), 1) if density else 1.0)
            side = int(len(answer.cells) ** 0.5)
            panel.imshow(answer.probability.reshape(side, side).T, origin="lower", extent=(-1, 1, -1, 1), cmap="Greys")
            points = drawn if spec == "exact" else kept["actions"] if kept is not None else np.zeros((0, 2))
            panel.scatter(points[:1000, 0], points[:1000, 1], s=1.5, color="C3", alpha=0.5, linewidths=0)
            panel.set(xticks=[], yticks=[], xlim=(-1, 1), ylim=(-1, 1))
            if column == 0:
                panel.set_ylabel(spec)
            if row == 0:
                panel.set_title(shape, fontsize=10)
    figure.tight_layout(pad=0.4)
    figure.savefig(target, dpi=60)
    plt.close(figure)


def write() -> None:
    """The tables between their marks in docs/known_answers.md, and the pictures beside it."""
    page = DOCS / "known_answers.md"
    text = page.read_text()
    for aim in (DENSITY, VALUE):
        name = f"known_answers_{aim}.png"
        picture([spec for spec, entry in SPECS.items() if entry.aim == aim], DOCS / name)
        before, _, rest = text.partition(f"<!-- {aim} -->")
        _, _, after = rest.partition(f"<!-- end of {aim} -->")
        shown = f"{table(aim)}\n\n![draws over the densities]({name})"
        text = f"{before}<!-- {aim} -->\n{shown}\n<!-- end of {aim} -->{after}"
    page.write_text(text)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only-write", action="store_true", help="train nothing; write the page from what there is")
    parser.add_argument("--specs", nargs="+", default=list(SPECS), choices=list(SPECS))
    asked = parser.parse_args()
    os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
    jobs = [(spec, shape) for shape in SHAPES for spec in asked.specs if not path_of(spec, shape).exists()]
    if not asked.only_write:
        # fresh processes: jax must see the flags
        with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
            for line in pool.map(train, jobs):
                print(line, flush=True)
    write()


if __name__ == "__main__":
    main()
