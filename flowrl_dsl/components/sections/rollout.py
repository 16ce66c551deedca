"""Section ``rollout``: what an on-policy algorithm collects between its updates, and the advantages of those actions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Literal, cast

from pydantic import Field as Option

from flowrl_dsl.algorithm import POLICY, Algorithm, Position
from flowrl_dsl.components.auxiliary import drawn_with
from flowrl_dsl.components.context import Context
from flowrl_dsl.components.noisy import NOISED
from flowrl_dsl.components.section import Section
from flowrl_dsl.diagnostics import Diagnostic, Span, error, warning
from flowrl_dsl.formula import Operation, terms
from flowrl_dsl.formulas import formulas, reads
from flowrl_dsl.graph.builder import Value
from flowrl_dsl.graph.expr import Arg, call, kernel
from flowrl_dsl.graph.nodes import TREE
from flowrl_dsl.lazy import jax, jnp
from flowrl_dsl.record import AUXILIARY, CHAIN, DRAWN, Field, Record
from flowrl_dsl.registry import UNIT, Formula, Scalar, Slot, option, register, slot

ADVANTAGE = Slot(result=("batch",), values={"gain": ("batch",)})


@kernel
def advantages(r, d, end, v, v_next, discount, decay, steps, timeout):
    """Generalised advantage estimates [batch] of a rollout, and the returns gain + v.

    The rows are those of ``steps`` steps of all environments, step by step.  Backwards in time, w being the value after a
    step,

        delta = r + discount w - v,    gain = delta + discount decay (1 - end) gain',

    w is 0 where the episode has ended (d), and v_next where it goes on.  Where a time limit has cut it, w is v_next, the
    value of its last observation (``final_observation``), v, where that is unknown (``repeat_state``), or 0 (``end``).
    """
    cut = end * (1 - d)
    after = {"final_observation": v_next, "repeat_state": v, "end": jnp.zeros_like(v)}[timeout]
    delta = r + discount * ((1 - end) * v_next + cut * after) - v
    rows = tuple(x.reshape(steps, -1) for x in (delta, 1 - end))

    def backwards(later, row):
        error, goes_on = row
        gain = error + discount * decay * goes_on * later
        return gain, gain

    gain = jax.lax.scan(backwards, jnp.zeros_like(rows[0][0]), rows, reverse=True)[1].reshape(-1)
    return gain, gain + v


@register
class RolloutSection(Section):
    """``steps`` steps of every environment, then ``epochs`` passes over them in ``minibatches`` updates each.

    The advantages are generalised advantage estimates (arXiv:1506.02438) with the values V that ``old_value`` gives; the
    same update reads them as ``gain`` and the returns gain + V, before ``advantage`` rescales it, as ``returns``.  An
    action is rated as it was drawn, before the bounds of the task clip it.
    """

    name = "rollout"
    provides = frozenset({"rollouts"})
    requires = frozenset({"on_policy", "old_value"})

    steps: int = Option(2048, ge=1, description="steps of each environment in a rollout")
    epochs: int = Option(10, ge=1, description="passes over a rollout")
    minibatches: int = Option(32, ge=1, description="updates of each pass, on equal parts of the rollout")
    discount: Scalar = option("discount of future rewards", "0.99", UNIT)
    decay: Scalar = option("lambda of the advantages: 0 for one-step errors, 1 for whole returns", "0.95", UNIT)
    timeout: Literal["final_observation", "repeat_state", "end"] = Option(
        "final_observation", description="value after a step at which a time limit cuts the episode"
    )
    draws: int | None = Option(None, ge=1, description="noisy versions of each action, the same for all updates on it")
    advantage: Formula = slot("advantage that updates read; reductions run over the whole rollout", ADVANTAGE, "gain")

    @property
    def updates(self) -> int:
        """Updates on one rollout."""
        return self.epochs * self.minibatches

    def warnings(self, at: Position) -> Iterator[Diagnostic]:
        train: Any = at.algorithm.sections["train"]
        left = self.steps * train.envs % self.minibatches
        if left:
            message = f"each epoch leaves out {left} of the {self.steps * train.envs} transitions of a rollout"
            place = at.written("minibatches", "steps")
            yield warning("FRL0327", message, place, f"{self.minibatches} minibatches of equal size contain the others")

    def capabilities(self) -> frozenset[str]:
        return self.provides if self.draws is None else self.provides | {"noise_draws"}

    def needs(self) -> frozenset[str]:
        return self.requires if self.draws is None else self.requires | {"noise_process"}

    def idle(self, at: Position) -> dict[str, str]:
        return {} if reads(at.algorithm, *NOISED) else {"draws": "no formula reads noisy versions of the actions"}

    def errors(self, at: Position) -> Iterator[Diagnostic]:
        """The densities of denoising steps are those of the policy that acts, and of the actions that they led to."""
        algorithm, rated = at.algorithm, list(_rated_steps(at))
        explore = cast(Any, algorithm.sections["act"]).explore
        acting = algorithm.drawn_from(explore.source)
        if rated and not explore.value.plain:
            message = f"{explore.value.name} does not keep the denoising steps of the action that it chooses"
            place = algorithm.written("act.explore") or at.span
            yield error("FRL0223", message, place, "step_log_prob needs explore = sample")
        for owner, place in rated:
            if owner != acting:
                message = f'the denoising steps of the policy "{owner}" are rated, but "{acting}" takes the actions'
                yield error("FRL0223", message, place, f"step_log_prob(...) is that of {acting}, or of a copy of it")

    def record(self, algorithm: Algorithm) -> Record:
        act: Any = algorithm.sections["act"]
        policy: Any = algorithm.sections[algorithm.drawn_from(act.explore.source)]
        fields = {DRAWN: Field(("action",), by="act")}
        if policy.base is None and "auxiliary" in policy.backbone.capabilities():
            fields[AUXILIARY] = Field(("action",), by="act")
        if reads(algorithm, "step_log_prob"):
            fields[CHAIN] = Field(("denoise", "action"), by="act", sizes=(("denoise", policy.sampler.steps),))
        return fields

    def acted(self, ctx: Context, s: Value, a: Value, drawn: Value) -> dict[str, Value]:
        fields, record = {DRAWN: drawn}, self.record(ctx.algorithm)
        if AUXILIARY in record:
            fields[AUXILIARY] = drawn_with(ctx, drawn)
        if CHAIN in record:
            fields[CHAIN] = ctx.report.chains[drawn.name]
        return fields

    def derived(self) -> Record:
        """The fields of batches that are derived from a rollout: advantages, returns, and what makes actions noisy."""
        fields = {"gain": Field(by="source"), "returns": Field(by="source")}
        if self.draws is None:
            return fields
        many, noisy = (("draw", self.draws),), {"t": ("draw",), "noise": ("draw", "action")}
        return fields | {name: Field(axes, by="source", sizes=many) for name, axes in noisy.items()}

    def completed(self, ctx: Context, batch: dict[str, Value]) -> dict[str, Value]:
        """The rollout [batch], all of its steps, with the advantages and returns, and actions as they were drawn."""
        b = ctx.builder
        values = [ctx.called("V", batch[s], source="old_value") for s in ("s", "s_next")]
        inputs = (batch["r"], batch["d"], batch["end"], *values, ctx.scalar(self.discount), ctx.scalar(self.decay))
        expr = call(advantages, *map(Arg, range(7)), steps=self.steps, timeout=self.timeout)
        pair = b.add("Advantages", expr, inputs, TREE, "advantages")
        gain, returns = (b.item(pair, k, batch["r"].type, name) for k, name in enumerate(("gain", "returns")))
        rated = ctx.broadcast(ctx.formula(self.advantage, "advantage", {}, gain=gain), ("batch",), batch["r"])
        return {**batch, "a": batch[DRAWN], "gain": rated, "returns": returns, **self._noised(ctx, batch["s"])}

    def _noised(self, ctx: Context, s: Value) -> dict[str, Value]:
        """The noise and the times of the noisy versions of each action, by the process of the policy."""
        if self.draws is None:
            return {}
        policy = replace(ctx.of(POLICY), candidates="draw")
        noise = policy.normal(s, ctx.sizes.action, "noise", self.draws)
        return {"noise": noise, "t": policy.own.backbone.drawn_time(policy, noise)}


def _rated_steps(at: Position) -> Iterator[tuple[str, Span | None]]:
    """The policies whose ``step_log_prob`` formulas call, each with the place of the call."""
    blocks = {block.label: block.owner for block in at.algorithm.improvements}
    for path, formula in formulas(at.components):
        head = path.partition(".")[0]
        for term in terms(formula.term):
            if isinstance(term, Operation) and term.function == "step_log_prob":
                yield at.algorithm.drawn_from(term.source or blocks.get(head, POLICY)), term.span
