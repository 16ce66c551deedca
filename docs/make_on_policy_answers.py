"""Train every on-policy spec on problems with known answers and write docs/known_answers_on_policy.md.

``python docs/make_on_policy_answers.py``.  Each result is a line of ``docs/known_answers_on_policy.jsonl``; a recorded
problem is not trained again unless its settings have changed.
"""

from __future__ import annotations

import argparse
from base64 import b64decode, b64encode

import numpy as np
from records import DOCS, Record, Records, fill, fingerprint, table

from flowrl_dsl import runs
from flowrl_dsl.testing.known_answers import HEIGHT, Answer, coverage
from flowrl_dsl.testing.on_policy_answers import ENVS, Bandit, Chain, Learned, learn

RECORDS = Records("known_answers_on_policy.jsonl")
ROLLOUTS, DRAWS, SHOWN = 100, 2000, 1000
PROBLEMS: dict[str, Bandit | Chain] = {"ring": Bandit("ring"), "uneven": Bandit("uneven"), "chain": Chain()}

SHORT = ("rollout.epochs=4", "rollout.minibatches=4", "rollout.decay=0")
"""With decay 0 an advantage is a one-step error: exact where V is."""
VALUE = ("value.network=mlp([32])", "value.optimizer=adam(5e-3)")
QUICK = "policy.optimizer=adam(1e-3, clip_norm = 1.0)"
NETWORK = "policy.network=mlp([64, 64], activation = mish)"
COMMON = (*SHORT, *VALUE)
SPECS: dict[str, tuple[str, ...]] = {
    "ppo": (*COMMON, "policy.network=mlp([64], head = 0.01)", "policy.optimizer=adam(3e-3, clip_norm = 1.0)"),
    "dppo": (*COMMON, NETWORK, QUICK, "policy.backbone=diffusion(time = fourier(16), obs = [])"),
    "fpo": (*COMMON, NETWORK, QUICK),
    "fpopp": (*COMMON, NETWORK, QUICK, "policy.sampler=euler(10, clip = none)"),
    "genpo": (*COMMON, "policy.network=mlp([64, 64], activation = mish, head = 0.01)"),
    "reinflow": (*COMMON, NETWORK, QUICK, "reach=0.1"),
    "flow_steps": (*COMMON, NETWORK, QUICK),
    "flow_mirror": (*COMMON, NETWORK, QUICK),
}
"""Every on-policy spec, with its settings; one line adds one."""


def key_of(spec: str, problem: str) -> Record:
    """The fields that identify the record of this problem."""
    return {"spec": spec, "problem": problem, "rollouts": ROLLOUTS, "algorithm": fingerprint(spec, None, SPECS[spec])}


def train(spec: str, problem: str) -> Record:
    """Train one spec on one problem; what it ends at, and samples of its actions."""
    of = PROBLEMS[problem]
    found = learn(spec, of, sets=SPECS[spec], rollouts=ROLLOUTS, draws=DRAWS)
    kept: Record = key_of(spec, problem) | {"sets": list(SPECS[spec])}
    kept |= of_bandit(of, found) if isinstance(of, Bandit) else of_chain(of, found)
    shown = np.round(127 * found.actions[:, :SHOWN]).astype(np.int8)
    return kept | {"shown": b64encode(shown.tobytes()).decode()}


def of_bandit(problem: Bandit, found: Learned) -> Record:
    """Mean values of samples and of evaluated actions, and the share of good regions that are kept."""
    values = [round(float(problem.step(np.zeros(DRAWS, int), a[0])[0].mean()), 3) for a in (found.actions, found.evaluated)]
    kept = coverage(found.actions[0], Answer.of(problem.shape), problem.shape)
    return {"q": values[0], "evaluated": values[1], "regions": kept}


def of_chain(problem: Chain, found: Learned) -> Record:
    """Returns, V as learned and exact, states of the last rollout, and how its advantages correlate with the exact ones."""
    exact = problem.values(found.actions)
    state, a, gain = found.gains
    agreement = np.corrcoef(problem.advantages(state, a, exact), gain)[0, 1]
    returns = [round(float(values[0]), 3) for values in (exact, problem.values(found.evaluated))]
    by_state = {"values": found.values, "exact": exact, "visited": np.bincount(state, minlength=problem.states) / len(state)}
    kept: Record = {name: np.round(values, 3).tolist() for name, values in by_state.items()}
    return {"return": returns[0], "evaluated": returns[1], **kept, "agreement": round(float(agreement), 3)}


def cell(spec: str, problem: str) -> str:
    """The table cell of one spec on one problem."""
    found = RECORDS.shown(key_of(spec, problem))
    if found is None:
        return "not run"
    if "q" in found:
        return f"{found['q']:.3f} ({found['evaluated']:.3f}), {found['regions']:.0%}"
    error = np.subtract(found["values"], found["exact"])
    rms = float(np.sqrt(found["visited"] @ np.square(error)))
    return f"{found['return']:.3f} ({found['evaluated']:.3f}), {rms:.3f}, {found['agreement']:.2f}"


def picture() -> None:
    """Samples (red) over p, one row per spec; of the chain the actions of each state."""
    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    figure, panels = plt.subplots(len(SPECS), 3, figsize=(6.6, 2 * len(SPECS)), squeeze=False)
    for row, spec in zip(panels, SPECS, strict=True):
        row[0].set_ylabel(spec)
        for panel, (problem, of) in zip(row, PROBLEMS.items(), strict=True):
            kept = RECORDS.shown(key_of(spec, problem))
            points = np.zeros((of.states, 0, of.action_size))
            if kept is not None:
                points = np.frombuffer(b64decode(kept["shown"]), np.int8).reshape(of.states, -1, of.action_size) / 127
            if isinstance(of, Bandit):
                answer = Answer.of(of.shape)
                side = int(len(answer.cells) ** 0.5)
                panel.imshow(answer.probability.reshape(side, side).T, origin="lower", extent=(-1, 1, -1, 1), cmap="Greys")
                panel.scatter(*points[0].T, s=5, color="C3", alpha=0.5, linewidths=0)
                panel.set(xticks=[], yticks=[], xlim=(-1, 1), ylim=(-1, 1))
            else:
                for state, actions in enumerate(points[..., 0]):
                    panel.hist(actions, np.linspace(-1, 1, 41), color=f"C{state}", histtype="step", label=f"state {state}")
                panel.set(yticks=[], xlim=(-1, 1))
    panels[0][2].legend(fontsize=6)
    for panel, problem in zip(panels[0], PROBLEMS, strict=True):
        panel.set_title(problem, fontsize=9)
    figure.tight_layout(pad=0.4)
    figure.savefig(DOCS / "known_answers_on_policy.png", dpi=60)
    plt.close(figure)


def write() -> None:
    """Write the table of docs/known_answers_on_policy.md and its figure."""
    picture()
    best = {shape: HEIGHT * Answer.of(shape).log_density.max() for shape in ("ring", "uneven")}
    titles = [f"{shape}, best {value:.3f}" for shape, value in best.items()] + [f"chain, best {Chain().discount:.2f}"]
    rows = [[spec + RECORDS.mark(key_of(spec, p) for p in PROBLEMS), *(cell(spec, p) for p in PROBLEMS)] for spec in SPECS]
    text = table(["", *titles], rows) + "\n\n![samples](known_answers_on_policy.png)"
    fill("known_answers_on_policy.md", "answers", text)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only-write", action="store_true", help="train nothing; write the page from the recorded results")
    parser.add_argument("--specs", nargs="+", default=list(SPECS), choices=list(SPECS))
    asked = parser.parse_args()
    runs.prepare_jax()
    for spec in asked.specs:
        for problem in PROBLEMS:
            if not asked.only_write and RECORDS.find(key_of(spec, problem)) is None:
                RECORDS.add(train(spec, problem))
                print(f"done: {spec}, {problem}, {ENVS} environments", flush=True)
    write()


if __name__ == "__main__":
    main()
