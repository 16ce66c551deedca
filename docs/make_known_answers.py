"""Train every shipped spec on problems with known answers; write docs/known_answers.md and a table of docs/hybrids.md.

``python docs/make_known_answers.py``.  Each result is recorded as a line of ``docs/known_answers.jsonl``; a recorded
problem is not trained again unless its settings have changed.  Two runs execute at a time, each on one thread.
"""

from __future__ import annotations

import argparse
import os
from base64 import b64decode, b64encode
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING

from records import DOCS, Record, Records, fill, fingerprint, table

if TYPE_CHECKING:
    import numpy as np

RECORDS = Records("known_answers.jsonl")
SHAPES = ("ring", "moons", "uneven", "checkerboard")
UPDATES, DRAWS, SHOWN = 5000, 2000, 1000
HEIGHT = 0.1
"""Q = HEIGHT log p."""
FLOORS = 10
"""Number of samples drawn with the exact score: the distance of one is up to 1.8 times that of another."""
CLOSE = 2
"""Floors within which a density counts as reached; docs/known_answers.md explains the choice."""

NEAR = 0.2
"""How far a mean log p may be below the highest: less than the second best of the uneven regions, which is 0.29 below."""

LONG = 8000
"""Updates of dime, which covers the good regions one after the other."""
LEARNING = 10_000
"""Updates of nclql, which has to learn its values."""
FAR = 15_000
"""Updates of qsm, whose update is cheap and whose target is steep."""


def falling(rate: float, updates: int = UPDATES) -> str:
    """A decaying learning rate: a constant one leaves noise as large as the measured distances."""
    return f"policy.optimizer=adam(cosine({rate} -> 1e-5, over = {updates}))"


SMALL = ("policy.network=mlp([128, 128], activation = mish)", falling(2e-3), "train.batch=128")
DENOISING = (*SMALL, "policy.backbone.obs=[]")


def dual(start: float) -> str:
    """A temperature that holds the divergence of the weights, from its initial value."""
    return f"temperature=learned({start}, target_kl = 1.0, optimizer = adam(3e-3))"


DUAL, LOW_DUAL = dual(1.0), dual(0.1)
"""With 32 particles log N is 3.5; and at the rate of the specs the temperature would not reach its final value."""
ENTROPY = "temperature=learned(1.0, target_entropy = -A, optimizer = adam(3e-3))"
"""As fast as the dual of the divergence: the temperature falls from 1.0 to a few hundredths."""
STEADY = falling(3e-4)
"""For gradients through a sampler that clips: at 2e-3 all actions saturate at a bound, where the gradient is 0."""
SLOW = falling(1e-4)
"""td7 reads the action through an embedding: at 3e-4 it ran into a corner of the uneven task."""
PROPOSALS = (*DENOISING, "train.batch=32")
"""There is one state: 32 rows contain 1024 proposals for it."""
OF_OLD = (*PROPOSALS, DUAL, "weighted_regression.noise=0.05", "policy.old=copy(every = 250)")
"""The noise on proposals is half as wide as a good region; the 0.2 of the specs would blur all of them."""
MIRROR = (*OF_OLD, "weighted_regression.particles=32 from old_policy", LOW_DUAL)
"""Values differ by tenths.  From a temperature of 1.0 the policy first imitates itself with nearly equal weights and loses
good regions by chance; fpmd ended at the third best of the uneven ones."""
DETERMINISTIC = (*MIRROR, "policy.sampler=ddim(20)")
"""Twenty ddpm steps add noise as wide as an arc of the moons, as fast as the weights narrow the policy."""
ANCHORED = (*PROPOSALS, LOW_DUAL, "weighted_regression.noise=0.05", "policy.old=copy(every = 250)", falling(1e-3))
"""The gradient alone would saturate at a bound of the checkerboard; the anchor finds good fields first."""
REVERSE = (*DENOISING, "score_matching.reverse=128")
EXPLODING = ("policy.backbone=edm(sigma_max = 2, obs = [])", "policy.sampler=edm_heun(10)")
"""Variance-exploding noise, as in idem's paper: sigma / alpha in its target is at most 2."""
FIELD = (
    "policy.network=mlp([256, 256], activation = mish)",
    "policy.backbone.obs=[]",
    "train.batch=128",
    falling(2e-3, FAR),
)
"""Gradients vary faster than densities: a smaller network cannot represent them on the moons."""
LEARNED = ("critic.backup=r", f"critic.optimizer=adam(cosine(1e-3 -> 1e-5, over = {LEARNING}))", "train.batch=256")
PATHS = (*DENOISING, falling(2e-3, LONG), "temperature=0.3")
"""At lower temperatures the divergence it minimises loses regions: at 0.1 it keeps one of the four uneven ones."""
DENSITY, VALUE, OWN = "density", "value", "own"
SLOPE, CLIMB, GAUSSIAN = "slopes of noisy actions", "Langevin on the exact values", "a squashed Gaussian of entropy -2"
REPELLED, HELD = "points that repel each other", "the density of entropy -1"


@dataclass(frozen=True)
class Entry:
    """The target of a spec (a ``density``, the highest ``value`` or its ``own``), its settings, whether its Q is exact, its
    own target where that can be computed, and the observation of the single state.
    """

    aim: str
    sets: tuple[str, ...]
    exact: bool = True
    updates: int = UPDATES
    answer: str = ""
    observation: float = 1.0


SPECS: dict[str, Entry] = {
    "sdac": Entry(DENSITY, (*REVERSE, "temperature=0.1")),
    "idem": Entry(DENSITY, (*SMALL, "score_matching.reverse=128", *EXPLODING)),
    "rfm": Entry(DENSITY, (*REVERSE, "temperature=0.1")),
    "rfm_flow": Entry(DENSITY, (*REVERSE, "temperature=0.1")),
    "dime": Entry(DENSITY, PATHS, updates=LONG),
    "sdac_quantile": Entry(DENSITY, (*REVERSE, "temperature=0.1")),
    "dime_redq": Entry(DENSITY, (*PATHS, "order=critic -> targets -> policy"), updates=LONG),
    "dpmd": Entry(VALUE, DETERMINISTIC),
    "fpmd": Entry(VALUE, MIRROR),
    "gempo_exp": Entry(VALUE, DETERMINISTIC),
    "gempo_linear": Entry(VALUE, DETERMINISTIC),
    "gempo_square": Entry(VALUE, DETERMINISTIC),
    "qvpo": Entry(VALUE, (*DENOISING, "selection.particles=16 from policy", "selection.uniform_weight=0")),
    "edm_mirror": Entry(VALUE, MIRROR),
    "flow_anchor": Entry(VALUE, (*ANCHORED, "anchor=linear(10.0 -> 0.1, over = 4000)")),
    "diffusion_bptt": Entry(VALUE, (*DENOISING, STEADY)),
    "dacer": Entry(VALUE, (*DENOISING, STEADY)),
    # one action climbs the hill on which it starts.  Let it be near the middle, which is a saddle of the checkerboard; td7
    # divides by the size of what it reads, so that only 0 leads there
    "td3": Entry(VALUE, SMALL, observation=0.1),
    "td7": Entry(VALUE, (*SMALL, SLOW, "train.sampling=uniform"), observation=0.0),
    "qsm": Entry(OWN, FIELD, updates=FAR, answer=SLOPE),
    "qsm_hl_gauss": Entry(OWN, FIELD, updates=FAR, answer=SLOPE),
    "qsm_td7": Entry(OWN, (*FIELD, "train.sampling=uniform"), updates=FAR, answer=SLOPE),
    "nclql": Entry(OWN, LEARNED, exact=False, updates=LEARNING, answer=CLIMB),
    "sac": Entry(OWN, (*SMALL, ENTROPY), answer=GAUSSIAN),
    "redq": Entry(OWN, (*SMALL, ENTROPY, "order=critic -> targets -> policy -> temperature"), answer=GAUSSIAN),
    "driftpo": Entry(OWN, SMALL, answer=REPELLED),
    "drift_entropy": Entry(OWN, (*SMALL, "drift.particles=16"), answer=HELD),
    "qsm_dpmd": Entry(OWN, OF_OLD),
}


HYBRIDS = {
    "qsm_dpmd": "dpmd",
    "sdac_quantile": "sdac",
    "edm_mirror": "gempo_square",
    "flow_anchor": "fpmd",
    "drift_entropy": "driftpo",
    "dime_redq": "dime",
    "qsm_td7": "qsm",
}
"""The base spec of each hybrid."""


def key_of(spec: str, shape: str) -> Record:
    """The fields that identify the record of this problem."""
    entry = SPECS[spec]
    return {
        "spec": spec,
        "shape": shape,
        "updates": entry.updates,
        "observation": entry.observation,
        "algorithm": fingerprint(spec, None, entry.sets),
    }


def train(job: tuple[str, str]) -> Record:
    """Train one spec on one shape: its score, and its first samples (rounded to 1 / 127, for the figure)."""
    from flowrl_dsl.testing.known_answers import learn

    spec, shape = job
    entry = SPECS[spec]
    asked = {"sets": entry.sets, "exact": entry.exact, "updates": entry.updates, "observation": entry.observation}
    found = learn(spec, shape, draws=DRAWS, **asked)
    sharpness = sharpness_of(entry, found.sharpness)
    kept = key_of(spec, shape) | {"sets": list(entry.sets)}
    kept |= score(found.actions, shape, sharpness) | {"shown": packed(found.actions)}
    if entry.answer:
        drawn = own_answer(entry.answer, shape, sharpness)
        own = score(drawn, shape, sharpness)
        kept["own"] = {name: own[name] for name in ("distance", "covered", "value")} | {"shown": packed(drawn)}
    return kept


def packed(actions: np.ndarray) -> str:
    """The first samples as text, rounded to 1 / 127."""
    import numpy as np

    return b64encode(np.round(127 * actions[:SHOWN]).astype(np.int8).tobytes()).decode()


def unpacked(text: str) -> np.ndarray:
    """The samples [n, 2] encoded by :func:`packed`."""
    import numpy as np

    return np.frombuffer(b64decode(text), np.int8).reshape(-1, 2) / 127


def sharpness_of(entry: Entry, sharpness: float) -> float:
    """The power of p that a spec is compared with."""
    return round(sharpness, 2) if entry.aim == DENSITY or entry.answer == SLOPE else 1.0


def own_answer(answer: str, shape: str, sharpness: float) -> np.ndarray:
    """Samples of the target of a mechanism, computed from the exact Q without a network."""
    from flowrl_dsl.testing import mechanisms

    if answer == SLOPE:
        return mechanisms.noisy_slope(shape, sharpness, DRAWS)
    if answer == CLIMB:
        return mechanisms.blurred_climb(shape, DRAWS)
    if answer == GAUSSIAN:
        return mechanisms.best_squashed_gaussian(shape, -2.0, DRAWS)
    if answer == REPELLED:
        return mechanisms.repelled(shape, -(-DRAWS // 32) * 32)[:DRAWS]
    return mechanisms.of_entropy(shape, -1.0).draw(DRAWS, seed=1)


@cache
def reference(shape: str, sharpness: float) -> tuple:
    """The density and samples of it."""
    from flowrl_dsl.testing.known_answers import Answer

    answer = Answer.of(shape, sharpness)
    return answer, answer.draw(DRAWS, seed=0)


@cache
def floor(shape: str, sharpness: float) -> float:
    """The mean distance to the density of a sampler with its exact score."""
    from statistics import mean

    from flowrl_dsl.testing.known_answers import sampled_exactly, sliced_wasserstein

    answer, drawn = reference(shape, sharpness)
    return mean(sliced_wasserstein(sampled_exactly(answer, DRAWS, seed=seed), drawn) for seed in range(FLOORS))


def score(actions: np.ndarray, shape: str, sharpness: float) -> Record:
    """``distance`` to the density and its ``floor``, that of exact scores; share of regions ``covered``; means of log p."""
    from flowrl_dsl.testing.known_answers import coverage, sliced_wasserstein

    answer, drawn = reference(shape, sharpness)
    return {
        "sharpness": sharpness,
        "distance": round(sliced_wasserstein(actions, drawn), 4),
        "floor": round(floor(shape, sharpness), 4),
        "covered": round(coverage(actions, answer, shape), 3),
        "value": mean_value(actions, shape),
        "expected": round(answer.expected(), 3),
        "best": round(float(answer.log_density.max()), 3),
    }


def mean_value(actions: np.ndarray, shape: str) -> float:
    """The mean log p of samples."""
    import numpy as np

    from flowrl_dsl.components.critics.known import known_value

    return round(float(np.mean(np.asarray(known_value(actions, shape)))), 3)


def rows(aim: str) -> list[list[str]]:
    """One row per spec, one column per shape."""
    specs = {spec: entry for spec, entry in SPECS.items() if entry.aim == aim}
    own = {spec: [entry.answer or "unknown"][: aim == OWN] for spec, entry in specs.items()}
    marked = {spec: spec + RECORDS.mark(key_of(spec, shape) for shape in SHAPES) for spec in specs}
    return [[marked[spec], *own[spec], *(cell(spec, shape) for shape in SHAPES)] for spec in specs]


def cell(spec: str, shape: str) -> str:
    """The table cell of one spec on one shape."""
    found = RECORDS.shown(key_of(spec, shape))
    if found is None:
        return "not run"
    if SPECS[spec].aim == OWN:
        beside = [f" ({figure})" for figure in figures(found["own"])] if "own" in found else [""] * 3
        return "Q " + ", ".join(map("".join, zip(figures(found), beside, strict=True)))
    value, covered, distance = figures(found)
    if SPECS[spec].aim == DENSITY:
        floors = found["distance"] / found["floor"]
        close = " **close**" if floors <= CLOSE and found["covered"] == 1 else ""
        return f"{found['distance']:.3f} ({floors:.1f} x), {covered}, Q {value}{close}"
    reached = (found["value"] - found["expected"]) / (found["best"] - found["expected"])
    best = " **best**" if found["best"] - found["value"] <= NEAR else ""
    return f"Q {value} ({reached:.0%}), {covered}, {distance}{best}"


def figures(found: Record) -> list[str]:
    """Mean Q, share of good regions and distance to the density, of a policy or of a target."""
    return [f"{HEIGHT * found['value']:.3f}", f"{found['covered']:.0%}", f"{found['distance']:.2f}"]


def picture(specs: Sequence[str], target: Path) -> None:
    """Samples over the density (red), one row per spec, one column per shape; below them those of its own target (blue).

    The first row shows samples of the density itself.
    """
    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    rows = ["exact", *specs]
    figure, panels = plt.subplots(len(rows), len(SHAPES), figsize=(2 * len(SHAPES), 2 * len(rows)), squeeze=False)
    for row, spec in enumerate(rows):
        for column, shape in enumerate(SHAPES):
            panel = panels[row][column]
            kept = RECORDS.shown(key_of(spec, shape)) if spec != "exact" else None
            answer, drawn = reference(shape, kept["sharpness"] if kept else 1.0)
            side = int(len(answer.cells) ** 0.5)
            panel.imshow(answer.probability.reshape(side, side).T, origin="lower", extent=(-1, 1, -1, 1), cmap="Greys")
            clouds = {"C0": unpacked(kept["own"]["shown"])} if kept and "own" in kept else {}
            clouds["C3"] = drawn[:SHOWN] if spec == "exact" else unpacked(kept["shown"] if kept else "")
            for color, points in clouds.items():
                panel.scatter(points[:, 0], points[:, 1], s=5, color=color, alpha=0.5, linewidths=0)
            panel.set(xticks=[], yticks=[], xlim=(-1, 1), ylim=(-1, 1))
            if column == 0:
                panel.set_ylabel(spec)
            if row == 0:
                panel.set_title(shape, fontsize=10)
    figure.tight_layout(pad=0.4)
    figure.savefig(target, dpi=60)
    plt.close(figure)


def write() -> None:
    """Write the tables of docs/known_answers.md and docs/hybrids.md, and the figures."""
    for aim in (DENSITY, VALUE, OWN):
        name = f"known_answers_{aim}.png"
        picture([spec for spec, entry in SPECS.items() if entry.aim == aim], DOCS / name)
        titles = ["spec", "target"][: 1 + (aim == OWN)] + list(SHAPES)
        fill("known_answers.md", aim, f"{table(titles, rows(aim))}\n\n![draws over the densities]({name})")
    hybrids = [
        [spec + RECORDS.mark([key_of(spec, "ring")]), cell(spec, "ring"), f"{base}: {cell(base, 'ring')}"]
        for spec, base in HYBRIDS.items()
    ]
    fill("hybrids.md", "ring", table(["hybrid", "ring", "base spec"], hybrids))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only-write", action="store_true", help="train nothing; write the pages from the recorded results")
    parser.add_argument("--jobs", type=int, default=2, help="how many run at a time")
    parser.add_argument("--specs", nargs="+", default=list(SPECS), choices=list(SPECS))
    parser.add_argument("--shapes", nargs="+", default=list(SHAPES), choices=list(SHAPES))
    asked = parser.parse_args()
    os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
    pairs = [(spec, shape) for shape in asked.shapes for spec in asked.specs]
    jobs = [job for job in pairs if not asked.only_write and not RECORDS.find(key_of(*job))]
    # fresh processes: jax must see the flags
    with ProcessPoolExecutor(asked.jobs, mp_context=get_context("spawn")) as pool:
        for finished in as_completed([pool.submit(train, job) for job in jobs]):
            found = finished.result()
            RECORDS.add(found)
            print(f"done: {found['spec']} {found['shape']}", flush=True)
    write()


if __name__ == "__main__":
    main()
