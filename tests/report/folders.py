"""Run folders as `train` writes them, without a training."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

SPEC = '# a comment\nalgorithm mine "Mine" {\n  policy { network = mlp([8]) }\n}\n'
RESOLVED = """algorithm mine "Mine" {{
  policy {{
    backbone = diffusion(
      schedule = cosine(s = 0.008),
      obs = [8, 8],
    )
  }}
  critic {{
    discount = {discount}
  }}
  param temperature = 0.1 in (0, 10]
}}
"""


def run_folder(
    path: Path, seed: int = 0, returns: tuple[float, ...] = (1.0, 3.0), discount: float = 0.9, **said: Any
) -> Path:
    """A folder with an evaluation at every 10 steps; ``said`` replaces entries of run.json."""
    (path / "spec").mkdir(parents=True)
    settings = {"task": "Pendulum-v1", "seed": seed, "steps": 100, "warmup": 0}
    entries: Mapping[str, Any] = {
        "spec": "mine",
        "main": "mine.flowrl",
        "task": "Pendulum-v1",
        "seed": seed,
        "sets": [],
        "given": {"steps": 100},
        "settings": settings,
        "python": "3.11",
        "versions": {"jax": "0.6"},
        "device": "cpu",
    }
    (path / "run.json").write_text(json.dumps({**entries, **said}))
    (path / "resolved.flowrl").write_text(RESOLVED.format(discount=discount))
    (path / "spec" / "mine.flowrl").write_text(SPEC)
    records: list[dict[str, Any]] = []
    for number, value in enumerate(returns, start=1):
        step = 10 * number
        records.append({"kind": "train", "step": step, "updates": 5 * number, "critic_loss": 1 / number, "never": None})
        records.append(
            {"kind": "eval", "step": step, "return_mean": value, "return_std": 0.5, "return_min": 0.0, "episodes": 2}
        )
    (path / "metrics.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    clock = [{"step": 10 * k, "updates_per_second": 2.0, "time": 3.0 * k} for k in range(1, len(returns) + 1)]
    (path / "timing.jsonl").write_text("".join(json.dumps(line) + "\n" for line in clock))
    return path
