"""On-policy regime: batches are parts of the newest rollout of the policy, which is used for a few epochs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, cast

from flowrl_dsl.components.data import Regime
from flowrl_dsl.registry import register

if TYPE_CHECKING:
    from flowrl_dsl.algorithm import Algorithm


@register
class OnPolicy(Regime):
    """The policy collects a rollout, is updated on minibatches of it for some epochs, and collects the next one.

    The section ``rollout`` has the lengths, and the advantages of the actions taken.  An update is one minibatch: it runs
    the stages of ``order``.  Copies with ``old = rollout`` are the parameters that collected the rollout.
    """

    name = "on_policy"
    provides = frozenset({"on_policy"})
    requires = frozenset({"rollouts"})
    turn: ClassVar[str] = "on_policy"
    keeps: ClassVar[str] = "rollout"
    ignores: ClassVar[dict[str, str]] = {
        "warmup": "the policy acts from the first step on",
        "batch": "rollout.minibatches decides the size of a minibatch",
        "replay": "a rollout is kept, and nothing before it",
        "sampling": "the minibatches of an epoch are a random partition of the rollout",
        "updates": "rollout.epochs and rollout.minibatches decide how many there are",
    }

    def batch(self, algorithm: Algorithm, envs: int) -> int:
        rollout: Any = algorithm.sections["rollout"]
        return max(1, self.capacity(algorithm, envs) // rollout.minibatches)

    def capacity(self, algorithm: Algorithm, envs: int) -> int:
        rollout: Any = algorithm.sections["rollout"]
        size: int = rollout.steps * envs
        return size

    def updates(self, algorithm: Algorithm) -> int:
        rollout, train = cast(Any, algorithm.sections["rollout"]), cast(Any, algorithm.sections["train"])
        many: int = train.steps // self.capacity(algorithm, train.envs) * rollout.updates
        return many

    def settings(self, algorithm: Algorithm) -> dict[str, int]:
        rollout: Any = algorithm.sections["rollout"]
        return {"rollout": rollout.steps, "updates": rollout.updates, "warmup": 0}
