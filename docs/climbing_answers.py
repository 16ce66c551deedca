"""The part of docs/make_offline_answers.py on specs that climb Q: what their equations are after, and what they reach.

An entry is after a law of actions, or a single action: a local maximum of an objective.  One without either climbs Q by the
network that imitates the data, so that its optimum depends on the network; it is compared with the data.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from statistics import mean
from typing import Any

import numpy as np
from offline_settings import (
    BASE,
    BATCH,
    DRAWS,
    FIRST,
    FLOORS,
    LATER,
    LITTLE,
    PROBLEMS,
    QUICK,
    RECORDS,
    SAMPLED,
    SMALL,
    TEACH,
    UPDATES,
    VALUES,
    mean_q,
    packed,
    settings_of,
    unpacked,
)
from records import DOCS, Record, table

from flowrl_dsl.testing.climbing_answers import (
    Peaks,
    best_edits,
    density_cost,
    flow_of,
    flow_trust,
    peaks_by_size,
    peaks_reached,
    peaks_with_cost,
    pulled_to,
    resampling_weight,
    slope_guided,
    trust,
)
from flowrl_dsl.testing.known_answers import sampled_exactly, sliced_wasserstein
from flowrl_dsl.testing.offline_answers import ROWS, Learned, Problem, best_among, expectile, learn, sparse

Law = Callable[[Problem, int, bool], np.ndarray]
"""Draws of a law by their seed; those of a policy whose sampler follows exact fields, if asked for."""


@dataclass(frozen=True)
class Climber:
    """A spec with its settings, the equation of its V, and the ``law`` or the ``peaks`` that its equations are after.

    ``before`` the updates come so many of a pretraining.
    """

    spec: str
    sets: tuple[str, ...]
    value: Callable[[Problem], float] | None = None
    law: Law | None = None
    peaks: Callable[[Problem], Peaks] | None = None
    before: int = 0


def behaviour(problem: Problem, count: int, seed: int, sampled: bool) -> np.ndarray:
    """Draws [n, 2] of mu, or of ten Euler steps along its exact velocity."""
    return flow_draws(problem, seed)[:count] if sampled else problem.behaviour.draw(count, seed)


@cache
def flow_draws(problem: Problem, seed: int) -> np.ndarray:
    """As many as the laws need at most, [n, 2]."""
    return flow_of(problem, np.random.default_rng(seed).normal(size=(32 * DRAWS, 2)))


def of_many(problem: Problem, seed: int, sampled: bool, count: int) -> np.ndarray:
    """The best of so many."""
    return best_among(problem, behaviour(problem, DRAWS * count, seed, sampled).reshape(DRAWS, count, 2))


def student(problem: Problem, seed: int, sampled: bool, alpha: float) -> np.ndarray:
    """Each draw of mu moved to argmax_a Q(a) - alpha mean_A (a - draw)^2."""
    return pulled_to(problem, behaviour(problem, DRAWS, seed, sampled), alpha / 2)


def edited(problem: Problem, seed: int, sampled: bool, scale: float) -> np.ndarray:
    """The best of eight draws, each with its best edit."""
    moved = best_edits(problem, behaviour(problem, 8 * DRAWS, seed, sampled), scale)
    return best_among(problem, moved.reshape(DRAWS, 8, 2))


def resampled(problem: Problem, seed: int, sampled: bool, temperature: float) -> np.ndarray:
    """One of 16 draws of mu, by softmax(Q / temperature)."""
    target = problem.weighted(resampling_weight(problem, temperature, 16))
    return sampled_exactly(target, DRAWS, seed=seed) if sampled else target.draw(DRAWS, seed)


def guided(problem: Problem, seed: int, sampled: bool, eta: float) -> np.ndarray:
    """dac's sampler with the exact noise prediction of its loss."""
    return slope_guided(problem, eta, DRAWS, seed, levels=20)


ONE = (*QUICK, SMALL, "act.evaluate=mean")
STUDENT = (*QUICK, SMALL, *BASE, SAMPLED)
DAC = (
    *(*QUICK, SMALL, SAMPLED, "eta=0.5", "critic.ensemble=1"),
    *("policy.backbone=diffusion(schedule = discrete_vp(20), obs = [])", "policy.sampler=ddpm(20)"),
)
"""Five levels end with a step from a deviation of 0.44, which blurs the data."""
PHASES = (*BATCH, f"pretrain.updates={TEACH}", f"main.updates={UPDATES}")
MIRROR = (
    *(*PHASES, *VALUES, SMALL, SAMPLED, "train.batch=32", "temperature=0.2"),
    *(f"behavior.network={LITTLE}", f"behavior.optimizer={FIRST}", f"policy.optimizer={LATER}"),
    *("behavior.backbone.obs=[]", "policy.backbone.obs=[]", "main.order=value -> [critic, policy] -> targets"),
)
TRUST = (*PHASES, *VALUES, *BASE, SMALL, f"policy.optimizer={LATER}", "act.evaluate=mean")
VALUED = 2000
"""Updates of the values of srpo, between its imitation and its policy."""
SRPO = (
    *(*BATCH, SMALL, *BASE[:1], f"behavior.optimizer={FIRST}", "behavior.backbone.obs=[]", "act.evaluate=mean"),
    *("value.network=mlp([64])", f"value.optimizer=adam(cosine(2e-3 -> 1e-5, over = {VALUED}, after = {TEACH}))"),
    f"policy.optimizer=adam(cosine(1e-3 -> 1e-5, over = {UPDATES}, after = {TEACH + VALUED}))",
    *(f"imitate.updates={TEACH}", f"values.updates={VALUED}", f"improve_policy.updates={UPDATES}"),
)
ALONE = (f"policy.optimizer=adam(cosine(3e-4 -> 1e-5, over = {UPDATES}), clip_norm = 1.0)", *BATCH, SMALL, SAMPLED)
"""For gradients through samples that are clipped: at 2e-3 cpql ends at a bound of the moons, where the gradient is 0."""
COLD = "temperature=0.001"
DSRL = (
    *(*BATCH, SMALL, *BASE[:1], f"behavior.optimizer={FIRST}", f"policy.optimizer={LATER}", SAMPLED, COLD),
    *("latent.network=mlp([128, 128], activation = mish)", f"latent.optimizer={LATER}"),
    *(f"imitate.updates={TEACH}", f"steer.updates={UPDATES}", "steer.order=critic -> policy -> targets -> latent"),
)
EXPO = (
    *(*QUICK, SMALL, *BASE, COLD, f"offline.updates={UPDATES}", "offline.order=[behavior, policy]"),
    "order=critic -> critic_target -> every(20, [behavior, policy])",
)
"""Its edits are trained at actions of the data, so that they can be before the policy acts."""
IQL = partial(expectile, tau=0.7)
GUIDED, STUDENTS = partial(guided, eta=0.5), partial(student, alpha=10.0)
SPECS: dict[str, Climber] = {
    "ifql": Climber(
        "ifql",
        (*QUICK, *VALUES, SMALL, "policy.target=none", "act.evaluate=best_of(32, by = mean)"),
        IQL,
        partial(of_many, count=32),
    ),
    "dac": Climber("dac", (*DAC, "order=critic -> critic_target -> policy -> policy_target"), law=GUIDED),
    "dac_expectile": Climber(
        "dac_expectile", (*DAC, *VALUES, "order=value -> critic -> critic_target -> policy"), IQL, GUIDED
    ),
    "fql": Climber("fql", STUDENT, law=STUDENTS),
    "sparse_flow": Climber("sparse_flow", (*STUDENT, *VALUES, "caution=0.1"), partial(sparse, alpha=0.1), STUDENTS),
    "dpmd_offline": Climber("dpmd_offline", MIRROR, IQL, partial(resampled, temperature=0.2), before=TEACH),
    "expo": Climber("expo", EXPO, law=partial(edited, scale=0.05)),
    "td3_bc": Climber("td3_bc", ONE, peaks=partial(peaks_by_size, scale=2.5, pull=0.5)),
    "rebrac": Climber("rebrac", ONE, peaks=partial(peaks_by_size, scale=1.0, pull=0.01)),
    "srpo": Climber(
        "srpo", SRPO, IQL, peaks=partial(peaks_with_cost, weight=1 / 0.05, cost=density_cost), before=TEACH + VALUED
    ),
    "dtql": Climber("dtql", TRUST, IQL, peaks=partial(peaks_with_cost, weight=5.0, cost=trust), before=TEACH),
    "trusted_flow": Climber(
        "trusted_flow", TRUST, IQL, peaks=partial(peaks_with_cost, weight=5.0, cost=flow_trust), before=TEACH
    ),
    "dsrl": Climber("dsrl", DSRL, peaks=partial(peaks_reached, bound=1.5), before=TEACH),
    "dql": Climber("dql", ALONE),
    "edp": Climber("edp", ALONE),
    "cpql": Climber("cpql", ALONE),
    "meanflow_ql": Climber("meanflow_ql", ALONE),
}
"""Every offline spec that climbs Q by its samples, or picks among them; one entry adds one."""

WITHOUT = {"cql", "calql", "fql_online", "qc", "qc_fql"}
"""Offline specs without a row: they change the critic, go on with a replay, or choose chunks of actions."""


def key_of(name: str, problem: str) -> Record:
    """The fields that identify the record of this problem."""
    return settings_of(name, SPECS[name].spec, SPECS[name].sets, problem)


@cache
def floor(law: Law, problem: str) -> float:
    """The mean distance of draws of a law to those of the policy with exact fields."""
    of = PROBLEMS[problem]
    return mean(sliced_wasserstein(law(of, seed, True), law(of, 0, False)) for seed in range(1, FLOORS + 1))


def train(name: str, problem: str) -> Record:
    """Train one entry on one problem; its V, its actions beside what its equations are after, mean values, and samples."""
    entry, of = SPECS[name], PROBLEMS[problem]
    found = learn(entry.spec, of, sets=entry.sets, updates=entry.before + UPDATES, draws=DRAWS)
    kept: Record = key_of(name, problem) | {"sets": list(entry.sets)}
    if entry.value is not None and found.value is not None:
        kept["value"] = {"learned": round(found.value, 4), "exact": round(entry.value(of), 4)}
    rows = of.behaviour.draw(ROWS, seed=1)
    best = round(float(of.q_at(rows).max()), 3)
    kept["q"] = {"learned": mean_q(of, found.actions), "data": mean_q(of, rows), "best": best}
    kept["from_data"] = round(sliced_wasserstein(found.actions, of.behaviour.draw(DRAWS, seed=0)), 4)
    if entry.law is not None:
        kept |= beside_law(entry.law, problem, found)
    if entry.peaks is not None:
        kept |= beside_peaks(entry.peaks(of), of, found)
    return kept | {"shown": packed(found.actions)}


def beside_law(law: Law, problem: str, found: Learned) -> Record:
    """The distance of the actions to draws of the law, the floor, and the mean Q of the draws."""
    exact = law(PROBLEMS[problem], 0, False)
    near = {"distance": round(sliced_wasserstein(found.actions, exact), 4), "floor": round(floor(law, problem), 4)}
    return near | {"exact_q": mean_q(PROBLEMS[problem], exact), "law": packed(exact)}


def beside_peaks(peaks: Peaks, of: Problem, found: Learned) -> Record:
    """The mean action's nearest local maximum: its distance, how many others exceed it, its Q; and all of them."""
    nearest, distance = peaks.nearest(found.actions.mean(axis=0))
    above, spread = int(peaks.above[nearest]), round(float(found.actions.std(axis=0).max()), 4)
    peak = {"distance": round(distance, 4), "above": above, "count": len(peaks.cells), "spread": spread}
    return {"exact_q": mean_q(of, peaks.cells[[nearest]]), "peak": peak, "peaks": peaks.cells.round(3).tolist()}


def cell(name: str, problem: str) -> str:
    """The table cell of one entry on one problem."""
    found = RECORDS.shown(key_of(name, problem))
    if found is None:
        return "not run"
    value = f"V {found['value']['learned']:.3f} ({found['value']['exact']:.3f}), " if "value" in found else ""
    q = f"{value}Q {found['q']['learned']:.3f}"
    if "distance" in found:
        return f"{q} ({found['exact_q']:.3f}), {found['distance']:.3f} ({found['distance'] / found['floor']:.1f} x)"
    if "peak" in found:
        peak = found["peak"]
        return f"{q} ({found['exact_q']:.3f}), {peak['distance']:.3f} from maximum {peak['above'] + 1} of {peak['count']}"
    return f"{q} (data {found['q']['data']:.3f}, best row {found['q']['best']:.3f}), {found['from_data']:.3f} from the data"


def picture() -> None:
    """Samples (red) over mu (grey) and draws of the law (blue), or the local maxima (crosses); one row per problem."""
    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    half = -(-len(SPECS) // 2)
    figure, panels = plt.subplots(half, 2 * len(PROBLEMS), figsize=(3 * len(PROBLEMS), 1.5 * half), squeeze=False)
    for panel in panels[len(SPECS) % half :, len(PROBLEMS) :].flat if len(SPECS) % half else ():
        panel.set_axis_off()
    for panel in panels.flat:
        panel.set(xticks=[], yticks=[], xlim=(-1, 1), ylim=(-1, 1))
    for place, name in enumerate(SPECS):
        first = len(PROBLEMS) * (place // half)
        for column, problem in enumerate(PROBLEMS, first):
            show(panels[place % half][column], name, problem)
        panels[place % half][first].set_ylabel(name)
    figure.tight_layout(pad=0.4)
    figure.savefig(DOCS / "known_answers_offline_climbing.png", dpi=60)
    plt.close(figure)


def show(panel: Any, name: str, problem: str) -> None:
    """Draw one entry on one problem."""
    of, kept = PROBLEMS[problem], RECORDS.shown(key_of(name, problem))
    side = round(len(of.share) ** 0.5)
    panel.imshow(of.share.reshape(side, side).T, origin="lower", extent=(-1, 1, -1, 1), cmap="Greys")
    if kept is None:
        return
    if "law" in kept:
        panel.scatter(*unpacked(kept["law"]).T, s=3, color="C0", alpha=0.4, linewidths=0)
    if "peaks" in kept:
        panel.scatter(*np.array(kept["peaks"]).T, s=25, color="C0", marker="x", linewidths=1)
    panel.scatter(*unpacked(kept["shown"]).T, s=5 if "peaks" not in kept else 12, color="C3", alpha=0.5, linewidths=0)


def tables() -> str:
    """The tables of specs with an answer and without, and the figure."""
    titles = ["", *(f"{problem}, Q of {of.values}" for problem, of in PROBLEMS.items())]
    answered = [name for name, entry in SPECS.items() if entry.law or entry.peaks]
    others = [name for name in SPECS if name not in answered]
    parts = [table(titles, [row(name) for name in names]) for names in (answered, others)]
    return "\n\n".join([*parts, "![samples of the specs that climb Q](known_answers_offline_climbing.png)"])


def row(name: str) -> list[str]:
    """The row of one entry, marked if it is of an earlier form of the spec."""
    marked = name + RECORDS.mark(key_of(name, problem) for problem in PROBLEMS)
    return [marked, *(cell(name, problem) for problem in PROBLEMS)]
