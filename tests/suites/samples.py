"""Results and suites that the tests of this room share."""

from __future__ import annotations

from pathlib import Path

import pytest

from flowrl_dsl import driver, runs
from flowrl_dsl.spec.suites.suite import Suite
from flowrl_dsl.suites import worker
from flowrl_dsl.suites.attempts import Outcome, read_outcome
from flowrl_dsl.suites.executors import local
from flowrl_dsl.suites.jobs import Job, Question, jobs_of
from flowrl_dsl.suites.results import FINISHED, Evaluation, Result

TINY = """suite tiny {
  specs  = [sac, td3]
  tasks  = ["InvertedPendulum-v5", "Pendulum-v1"]
  seeds  = 2
  budget = smoke

  budget smoke { steps = 300  warmup = 280  batch = 16  evaluate_every = 100  episodes = 1 }
  policy { network = mlp([8]) }
  critic { network = mlp([8]) }
}
"""


def train_in_this_process(patch: pytest.MonkeyPatch) -> None:
    """Let local workers be calls, and draw no curves."""

    def called(folder: Path, stop: object) -> Outcome | None:
        worker.main(folder, 0)
        return read_outcome(folder)

    patch.setattr(local, "attempt", called)
    patch.setattr(worker, "_follow", lambda parent: None)
    patch.setattr(runs, "draw_curve", lambda *_: False)


def suite_file(folder: Path, text: str = TINY) -> Path:
    path = folder / "tiny.flowrl"
    path.write_text(text, encoding="utf-8")
    return path


def suite(folder: Path, text: str = TINY) -> Suite:
    return driver.resolve_suite_or_raise(str(suite_file(folder, text)))


def jobs(folder: Path, text: str = TINY) -> list[Job]:
    return jobs_of(suite(folder, text))


def question(seed: int = 0, task: str = "InvertedPendulum-v5", algorithm: str = "abcdef012345") -> Question:
    return Question(algorithm, task, seed, steps=300, evaluate_every=100, episodes=1)


def result(
    ask: Question | None = None, *returns: float, outcome: str = FINISHED, machine: str = "m", recorded: str = "2026"
) -> Result:
    """A run with evaluations at its first steps."""
    ask = ask or question()
    found = [Evaluation(ask.evaluate_every * (k + 1), value, 1.5, None, value, 2.0 * k) for k, value in enumerate(returns)]
    return Result("sac", ask, ("train.batch=16",), '{"jax": "1"}', machine, outcome, 20, 12.5, recorded, tuple(found))


def result_for(job: Job, *returns: float, outcome: str = FINISHED) -> Result:
    return result(job.question, *returns, outcome=outcome)
