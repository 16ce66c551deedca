"""Train every offline spec on problems with known answers and write docs/known_answers_offline.md.

``python docs/make_offline_answers.py``.  There is one state, the data has a known density mu and Q is known.  Each result is
a line of ``docs/known_answers_offline.jsonl``; a recorded problem is not trained again unless its settings have changed.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from statistics import mean

import climbing_answers as climbing
import numpy as np
from offline_settings import (
    BASE,
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
from records import DOCS, Record, fill, table

from flowrl_dsl.testing.known_answers import Answer, sampled_exactly, sliced_wasserstein
from flowrl_dsl.testing.offline_answers import (
    Learned,
    Problem,
    best_of,
    energy,
    expectile,
    exponential,
    gaussian,
    learn,
    sparse,
)

TIMES = (0.1, 0.3, 0.6)
"""At which energies are compared; the linear schedule has alpha 0.95, 0.63 and 0.16 there."""

Weight = Callable[[np.ndarray, float], np.ndarray]

DIFFUSION = (
    *QUICK,
    "policy.backbone=diffusion(obs = [])",
    "policy.sampler=ddpm(20)",
    "policy.network=mlp([128, 128], activation = mish)",
    "policy.target=none",
)
STEPS = 20
"""Denoising steps of bdpo."""
BDPO = (
    *("train.batch=64", "train.sampling=uniform", "eta=0.2", "rho=0", "critic.ensemble=1", "steps.ensemble=1"),
    *(f"{owner}.backbone=diffusion(discrete_vp({STEPS}), obs = [])" for owner in ("policy", "behavior")),
    *(f"{owner}.network={LITTLE}" for owner in ("policy", "behavior", "steps")),
    *(f"policy.sampler=ddpm({STEPS})", f"behavior.optimizer={FIRST}", f"policy.optimizer={LATER}"),
    *(f"steps.optimizer={LATER}", "behavior.target=ema(0.02)", "policy.target=ema(0.05)", "steps.target=ema(0.1)"),
    *("steps.draws=2 from policy_target", "denoising_step.draws=2", "act.evaluate=sample from policy_target"),
    *(f"pretrain.updates={TEACH}", f"main.updates={UPDATES}", "main.order=[critic, steps] -> targets -> policy"),
)
LESSONS, CONTRASTS = 10_000, 15_000
"""Updates of qgpo's pretraining, as its proposals are its support, and of its energy."""
QGPO = (
    *("train.batch=128", "train.sampling=uniform", "beta=5", "energy.particles=8 from policy"),
    "energy.network=mlp([128, 128, 128], activation = mish)",
    *("policy.backbone=diffusion(schedule = linear, obs = [])", "policy.sampler=dpm_solver_pp_2m(15)"),
    *(SMALL, f"policy.optimizer=adam(cosine(2e-3 -> 1e-5, over = {LESSONS}))"),
    f"energy.optimizer=adam(cosine(2e-3 -> 1e-5, over = {CONTRASTS}, after = {LESSONS}))",
    *(f"imitate.updates={LESSONS}", "values.updates=1", f"guide.updates={CONTRASTS - 1}"),
)
BEST = "act.evaluate=one_of(64, weight = top1(min(Q(s, a), over = ensemble)))"


@dataclass(frozen=True)
class Entry:
    """A spec with its settings, the equation of its V, and the weight w(Q, V) with which its policy imitates the data.

    ``best`` of so many samples acts, if positive; a ``gaussian`` can only have the moments of the weighted data.  ``before``
    the updates come so many of a pretraining.  Values of noisy actions at ``beta`` are energies, others are V at pure noise.
    """

    spec: str
    sets: tuple[str, ...]
    value: Callable[[Problem], float] | None = None
    weight: Weight = lambda q, v: np.ones_like(q)
    best: int = 0
    gaussian: bool = False
    before: int = 0
    beta: float = 0.0


def exponential_weight(q: np.ndarray, v: float, beta: float) -> np.ndarray:
    """min(exp(beta (Q - V)), 100)."""
    return np.minimum(np.exp(np.minimum(beta * (q - v), 10)), 100)


def positive_part(q: np.ndarray, v: float) -> np.ndarray:
    """max(Q - V, 0), at most 100."""
    return np.clip(q - v, 0, 100)


def tilted(q: np.ndarray, v: float, temperature: float) -> np.ndarray:
    """exp(Q / temperature)."""
    return np.exp(q / temperature)


IQL, SPARSE, EXPONENTIAL = partial(expectile, tau=0.7), partial(sparse, alpha=0.1), partial(exponential, alpha=0.2)
"""The values, at temperatures that suit values that differ by one: with sql's alpha of 1 all actions would count."""
SPECS: dict[str, Entry] = {
    "bc": Entry("bc", (*DIFFUSION, SAMPLED)),
    "iql": Entry("iql", (*DIFFUSION, *VALUES, SAMPLED), IQL, partial(exponential_weight, beta=3.0)),
    "sql": Entry("sql", (*DIFFUSION, *VALUES, SAMPLED, "alpha=0.1"), SPARSE, positive_part),
    "eql": Entry("eql", (*DIFFUSION, *VALUES, SAMPLED, "alpha=0.2"), EXPONENTIAL, partial(exponential_weight, beta=50.0)),
    "iql, Gaussian": Entry("iql", (*QUICK, *VALUES, SAMPLED), IQL, partial(exponential_weight, beta=3.0), gaussian=True),
    "idql": Entry("idql", (*DIFFUSION, *VALUES, BEST), IQL, best=64),
    "mean flow": Entry("meanflow_ql", (*QUICK, SMALL, SAMPLED, "reparameterized.factor=0")),
    "bdpo": Entry("bdpo", BDPO, partial(exponential, alpha=0.2), partial(tilted, temperature=0.2), before=TEACH),
    "qgpo": Entry("qgpo", QGPO, weight=partial(tilted, temperature=0.2), before=LESSONS + CONTRASTS - UPDATES, beta=5.0),
    "qam": Entry("qam", (*QUICK, SMALL, *BASE, SAMPLED, "temperature=0.5"), weight=partial(tilted, temperature=0.5)),
}
"""Every offline spec that imitates weighted data, or follows the density of it; those of climbing_answers.py climb Q."""


def key_of(name: str, problem: str) -> Record:
    """The fields that identify the record of this problem."""
    return settings_of(name, SPECS[name].spec, SPECS[name].sets, problem)


@cache
def target(name: str, problem: str) -> Answer:
    """The density of the weighted data."""
    entry, of = SPECS[name], PROBLEMS[problem]
    return of.weighted(entry.weight(of.q, entry.value(of) if entry.value else 0.0))


def drawn(name: str, problem: str, seed: int) -> np.ndarray:
    """Draws of what the equations of a spec are after."""
    entry = SPECS[name]
    if entry.best:
        return best_of(PROBLEMS[problem], entry.best, DRAWS, seed)
    if entry.gaussian:
        return gaussian(target(name, problem), DRAWS, seed)
    return target(name, problem).draw(DRAWS, seed)


@cache
def floor(name: str, problem: str) -> float:
    """The mean distance to draws of the target of other draws; of a diffusion, of those by the sampler with exact scores."""
    entry = SPECS[name]
    others = [
        drawn(name, problem, seed)
        if entry.best or entry.gaussian
        else sampled_exactly(target(name, problem), DRAWS, seed=seed)
        for seed in range(1, FLOORS + 1)
    ]
    return mean(sliced_wasserstein(other, drawn(name, problem, seed=0)) for other in others)


def train(name: str, problem: str) -> Record:
    """Train one entry on one problem; its V, the distance of its actions to the target, mean values, and samples."""
    entry, of = SPECS[name], PROBLEMS[problem]
    found = learn(entry.spec, of, sets=entry.sets, updates=entry.before + UPDATES, draws=DRAWS)
    exact = drawn(name, problem, seed=0)
    kept: Record = key_of(name, problem) | {"sets": list(entry.sets)}
    value = at_noise(found) if found.value is None else found.value
    if entry.value is not None and value is not None:
        kept["value"] = {"learned": round(value, 4), "exact": round(entry.value(of), 4)}
    if entry.beta and found.noisy is not None:
        kept["energy"] = likeness(of, entry.beta, found.noisy)
    kept["distance"] = round(sliced_wasserstein(found.actions, exact), 4)
    kept["floor"] = round(floor(name, problem), 4)
    kept["q"] = {"learned": mean_q(of, found.actions), "exact": mean_q(of, exact), "data": round(float(of.share @ of.q), 3)}
    return kept | {"shown": packed(found.actions)}


def at_noise(found: Learned) -> float | None:
    """V_t of pure noise; None without values of noisy actions."""
    noise = np.random.default_rng(0).normal(size=(DRAWS, 2))
    return None if found.noisy is None else float(found.noisy(noise, 1.0).mean())


def likeness(problem: Problem, beta: float, learned: Callable[[np.ndarray, float], np.ndarray]) -> dict[str, float]:
    """The correlations of learned and exact energies of noisy actions of the data, by their time."""
    rng, found = np.random.default_rng(0), {}
    data = problem.behaviour.draw(500, seed=3)
    for t in TIMES:
        alpha = float(np.exp(-(t**2) * (20 - 0.1) / 4 - 0.1 * t / 2))
        noisy = alpha * data + np.sqrt(1 - alpha**2) * rng.normal(size=data.shape)
        exact = energy(problem, beta, noisy, alpha)
        found[str(t)] = round(float(np.corrcoef(learned(noisy, t), exact)[0, 1]), 3)
    return found


def cell(name: str, problem: str) -> str:
    """The table cell of one entry on one problem."""
    found = RECORDS.shown(key_of(name, problem))
    if found is None:
        return "not run"
    value = f"V {found['value']['learned']:.3f} ({found['value']['exact']:.3f}), " if "value" in found else ""
    if "energy" in found:
        value = f"energies {', '.join(f'{r:.2f}' for r in found['energy'].values())}, "
    q = f"Q {found['q']['learned']:.3f} ({found['q']['exact']:.3f})"
    return f"{value}{q}, {found['distance']:.3f} ({found['distance'] / found['floor']:.1f} x)"


def picture() -> None:
    """Samples (red) over the density of the target, one row per entry, one column per problem; the data above them."""
    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    names = ["the data", *SPECS]
    figure, panels = plt.subplots(len(names), len(PROBLEMS), figsize=(2 * len(PROBLEMS), 2 * len(names)), squeeze=False)
    for row, name in enumerate(names):
        for column, (problem, of) in enumerate(PROBLEMS.items()):
            panel = panels[row][column]
            answer = of.behaviour if row == 0 else target(name, problem)
            side = int(len(answer.cells) ** 0.5)
            panel.imshow(answer.probability.reshape(side, side).T, origin="lower", extent=(-1, 1, -1, 1), cmap="Greys")
            kept = RECORDS.shown(key_of(name, problem)) if row else None
            if kept is not None:
                points = unpacked(kept["shown"])
                panel.scatter(points[:, 0], points[:, 1], s=5, color="C3", alpha=0.5, linewidths=0)
            elif row == 0:
                panel.contour(of.q.reshape(side, side).T, levels=6, extent=(-1, 1, -1, 1), cmap="viridis", linewidths=0.7)
            panel.set(xticks=[], yticks=[], xlim=(-1, 1), ylim=(-1, 1))
            if column == 0:
                panel.set_ylabel(name)
    figure.tight_layout(pad=0.4)
    figure.savefig(DOCS / "known_answers_offline.png", dpi=60)
    plt.close(figure)


def write() -> None:
    """Write the table of docs/known_answers_offline.md and its figure."""
    picture()
    climbing.picture()
    rows = [[_marked(name), *(cell(name, problem) for problem in PROBLEMS)] for name in SPECS]
    titles = [f"{problem}, Q of {of.values}" for problem, of in PROBLEMS.items()]
    fill("known_answers_offline.md", "answers", table(["", *titles], rows) + "\n\n![samples](known_answers_offline.png)")
    fill("known_answers_offline.md", "climbing", climbing.tables())


def _marked(name: str) -> str:
    return name + RECORDS.mark(key_of(name, problem) for problem in PROBLEMS)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only-write", action="store_true", help="train nothing; write the page from the recorded results")
    names = [*SPECS, *climbing.SPECS]
    parser.add_argument("--specs", nargs="+", default=names, choices=names)
    asked = parser.parse_args()
    for problem in PROBLEMS:
        for name in asked.specs:
            key, trained = (key_of, train) if name in SPECS else (climbing.key_of, climbing.train)
            if not asked.only_write and RECORDS.find(key(name, problem)) is None:
                RECORDS.add(trained(name, problem))
                print(f"done: {name}, {problem}", flush=True)
    write()


if __name__ == "__main__":
    main()
