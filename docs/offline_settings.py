"""Shared by the scripts behind docs/known_answers_offline.md: its problems, its records, and the settings of its runs."""

from __future__ import annotations

from base64 import b64decode, b64encode

import numpy as np
from records import Record, Records, fingerprint

from flowrl_dsl.testing.offline_answers import Problem

RECORDS = Records("known_answers_offline.jsonl")
UPDATES, DRAWS, SHOWN = 5000, 2000, 1000
FLOORS = 5
"""Pairs of samples whose mean distance is the floor."""
PROBLEMS = {
    "ring": Problem("ring", "uneven", 0.3),
    "moons": Problem("moons", "checkerboard", 0.5),
    "checkerboard": Problem("checkerboard", "ring", 0.1),
}
"""By their data."""

FALLING = f"adam(cosine(2e-3 -> 1e-5, over = {UPDATES}))"
"""A constant rate leaves noise as large as the measured distances."""
BATCH = ("train.batch=128", "train.sampling=uniform")
QUICK = (f"policy.optimizer={FALLING}", *BATCH)
VALUES = ("value.network=mlp([64])", f"value.optimizer={FALLING}")
SAMPLED = "act.evaluate=sample"
SMALL = "policy.network=mlp([128, 128], activation = mish)"
BASE = ("behavior.network=mlp([128, 128], activation = mish)", f"behavior.optimizer={FALLING}")
TEACH = 3000
"""Updates of a pretraining before those of the rest."""
LITTLE = "mlp([64, 64], activation = mish)"
LATER = f"adam(cosine(3e-3 -> 1e-5, over = {UPDATES}, after = {TEACH}))"
FIRST = f"adam(cosine(3e-3 -> 1e-5, over = {TEACH}))"


def settings_of(name: str, spec: str, sets: tuple[str, ...], problem: str) -> Record:
    """The fields that identify the record of an entry of this name on this problem."""
    of = PROBLEMS[problem]
    settings = {"entry": name, "data": of.data, "values": of.values, "height": of.height, "updates": UPDATES}
    return settings | {"algorithm": fingerprint(spec, None, sets)}


def packed(actions: np.ndarray) -> str:
    """The first actions as text, rounded to 1 / 127."""
    return b64encode(np.round(127 * actions[:SHOWN]).astype(np.int8).tobytes()).decode()


def unpacked(text: str) -> np.ndarray:
    """The actions [n, 2] that :func:`packed` kept."""
    return np.frombuffer(b64decode(text), np.int8).reshape(-1, 2) / 127


def mean_q(problem: Problem, actions: np.ndarray) -> float:
    """The mean Q of actions [n, 2]."""
    return round(float(problem.q_at(actions).mean()), 3)
