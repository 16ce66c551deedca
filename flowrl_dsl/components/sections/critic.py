"""Section ``critic``: action values, their targets and their loss."""

from __future__ import annotations

from collections.abc import Iterator
from types import MappingProxyType
from typing import Any, ClassVar, Literal

from pydantic import Field, model_validator

from flowrl_dsl.algorithm import Position
from flowrl_dsl.components.base import ActionChoice, Critic, Future, Network
from flowrl_dsl.components.changing import Optimizer, Target
from flowrl_dsl.components.common import uses_draw_density
from flowrl_dsl.components.context import Context
from flowrl_dsl.components.entries import MEANING, OPTION, Entries
from flowrl_dsl.components.proposals import PROPOSED, proposed
from flowrl_dsl.components.returns import n_step_return, return_to_go
from flowrl_dsl.components.section import Section
from flowrl_dsl.diagnostics import Diagnostic, warning
from flowrl_dsl.formula import Function, Operation, functions, terms, variables
from flowrl_dsl.formulas import formulas
from flowrl_dsl.graph.builder import Value
from flowrl_dsl.graph.expr import Arg, call, kernel
from flowrl_dsl.graph.nodes import TREE, Type
from flowrl_dsl.lazy import jnp
from flowrl_dsl.registry import UNIT, Copy, Drawn, Formula, Scalar, Slot, option, register, slot

CHAIN = MappingProxyType(
    {
        **dict.fromkeys(("chain", "chain_eps"), ("batch", "particle", "denoise", "action")),
        **dict.fromkeys(("chain_t", "kl_weight"), ("denoise",)),
    }
)
"""Values of the backup: of the denoising steps by which the ``next_actions`` are drawn."""

BACKUP = Slot(
    result=("batch",),
    values={
        "s": ("batch", "obs"),
        "a": ("batch", "action"),
        "r": ("batch",),
        "d": ("batch",),
        "s_next": ("batch", "obs"),
        "a_next": ("batch", "action"),
        "a_nexts": ("batch", "particle", "action"),
        "a_next_seen": ("batch", "action"),
        "next_seen": ("batch",),
        "discount": ("batch",),
        **CHAIN,
    },
    functions=("Q", "Q_target", "log_prob", "draw_log_prob", "within_seen", "eps"),
    sizes={"A": "action", "N": "particle"},
    needs=dict.fromkeys(CHAIN, "denoising_step"),
    drawn_by=dict.fromkeys(CHAIN, "next_actions"),
)

PENALTY = Slot(
    result=("ensemble", "batch"),
    values={
        "s": ("batch", "obs"),
        "a": ("batch", "action"),
        "a_any": ("batch", "particle", "action"),
        "log_density": ("batch", "particle"),
        "of_policy": ("batch", "particle"),
        "return_to_go": ("batch",),
    },
    functions=("Q", "Q_target"),
    sizes={"A": "action"},
    through=("Q",),
)

READ_BY_BACKUP = {
    "discount": ("discount",),
    "next_action": ("a_next",),
    "next_actions": ("a_nexts", "N", *CHAIN),
    "seen": ("within_seen",),
}
"""Options read only by the backup, and the names it uses for them."""
FOLLOWING = frozenset({"a_next_seen", "next_seen"})
"""Values of the backup that the source of the batch derives from the step after the transition."""

FOR_TRAINING = (
    *("network", "optimizer", "target", "discount", "n_step"),
    *("next_action", "next_actions", "backup", "seen", "reduction", "penalty", "proposals", "horizon"),
)
"""Options without effect on a critic that is not trained."""


@kernel
def interval(low, high):
    """A range of values."""
    return {"low": jnp.asarray(low, jnp.float32), "high": jnp.asarray(high, jnp.float32)}


@kernel
def wider(seen, y):
    """The range of the values seen so far and of y."""
    return {"low": jnp.minimum(seen["low"], jnp.min(y)), "high": jnp.maximum(seen["high"], jnp.max(y))}


@kernel
def bounded(x, bounds):
    """x clipped to two bounds."""
    return jnp.clip(x, bounds["low"], bounds["high"])


@kernel
def range_seen(seen, bounds):
    """The range of the values seen; the previous bounds while none has been seen."""
    return {name: jnp.where(seen["low"] <= seen["high"], seen[name], bounds[name]) for name in seen}


@kernel
def continuation(discount, d):
    """discount (1 - d): the factor of the next state's value."""
    return discount * (1 - d)


@register
class CriticSection(Section):
    """Action values fitted to temporal-difference targets: ``mean_e mean_B (Q_e(s, a) - y)^2``, y the ``backup``.

    No gradient flows through y.  a_next is chosen by ``next_action`` at s_next; ``a_nexts`` are several independent draws
    there, the ``next_actions``.  ``chain`` are the noisy actions from which the denoising steps of each of them started, at
    the times ``chain_t``, and ``chain_eps`` is the noise predicted there.  The sum of ``kl_weight |chain_eps - e|^2`` is the
    divergence of a path from the one with the predicted noises e, for steps of variance beta.  ``a_next_seen`` is
    the action that the stored data took at s_next, and ``next_seen`` is 1 where they contain it, else 0: not after the end
    of an episode, nor after the newest transition.

    ``mean_B penalty``, reduced over members as the loss is, is added to it.  ``a_any`` are the ``proposals``: as many
    uniformly random actions as draws of the policy at s, and at s_next, with their ``log_density`` where they were drawn;
    ``of_policy`` is 1 for the policy's draws, else 0.  ``return_to_go`` is the discounted sum of the rewards from (s, a) on
    that the stored steps contain, at most ``horizon`` of them.  If no end follows (a time-out, the newest transition, the
    horizon), the last reward goes on for ever, so that the return of a cut episode of failures is that of failing on.

    With ``n_step = n``, in ``backup``: r is the return ``sum_{k<n} discount^k r_k`` of the n steps from (s, a) on,
    s_next and d belong to the last of them, and discount is ``discount^n``.  A window is shorter at the end of an episode
    and at the newest transition.  With ``act.chunk = n`` the steps are those of the chunk a.  ``within_seen(x)`` clips x to
    the range of all targets up to the last refresh of ``seen``, initially [0, 0].
    """

    name = "critic"
    stage = 20
    functions = (
        Function("Q", ("obs", "action"), ("obs", "action"), ("ensemble",), "q_value", "action values of the critic"),
        Function(
            "Q_target",
            ("obs", "action"),
            ("obs", "action"),
            ("ensemble",),
            "q_target",
            "action values of the target critic",
            copied=False,
        ),
        Function(
            "within_seen",
            (None,),
            (),
            (),
            "seen_values",
            "the value, clipped to the range of the targets so far",
            copied=False,
        ),
    )
    copies = (
        Copy("target", "{}_target", "q_target", "ema(0.005)"),
        Copy("seen", "{}_bounds", "seen_values", "copy(every = 250)", parameters=False),
    )

    lengths = MappingProxyType({"ensemble": "ensemble"})
    quiet: ClassVar[frozenset[str]] = frozenset({OPTION})

    kind: Critic = option("representation of the values", "q")
    network: Network = option("network of one ensemble member", "mlp([256, 256])")
    ensemble: int = Field(2, ge=1, description="number of members E")
    optimizer: Optimizer = option("optimizer of the parameters", "adam(3e-4)")
    target: Target | None = option("update rule of the copy `Q_target`", "ema(0.005)")
    discount: Scalar = option("discount factor", "0.99", UNIT)
    n_step: int = Field(1, ge=1, description="number of steps n of the return")
    next_action: Drawn[ActionChoice] = option("selection of a_next", "sample from policy")
    next_actions: Drawn[int] | None = option("number of further actions a_nexts at s_next, and what samples them", "none")
    backup: Formula = slot(
        "the regression target y",
        BACKUP,
        "r + discount * (1 - d) * min(Q_target(s_next, a_next), over = ensemble)",
    )
    penalty: Formula | None = slot("further term of each member's loss", PENALTY, "none")
    proposals: Drawn[int] | None = option(
        "number of proposals of each kind, and the policy that samples two of them", "none"
    )
    horizon: int | None = Field(None, ge=1, description="number of rewards that return_to_go adds up")
    seen: Target | None = option("update rule of the bounds used by `within_seen`", "none")
    reduction: Literal["mean", "sum"] = Field("mean", description="reduction of the members' losses")
    observation: Entries | None = Field(None, description=MEANING)

    @model_validator(mode="after")
    def _rates_what_it_draws(self) -> CriticSection:
        choice = self.next_action
        if uses_draw_density(self.backup, "s_next", "a_next") and (choice.value.name, choice.source) != ("sample", "policy"):
            raise ValueError("draw_log_prob(s_next, a_next) needs next_action = sample from policy")
        several = {*READ_BY_BACKUP["next_actions"]} & variables(self.backup)
        if several and self.next_actions is None:
            used = " and ".join(sorted(several))
            raise ValueError(f"{used} in the backup: add, for instance, `next_actions = 10 from policy`")
        if self._proposed and self.proposals is None:
            used = " and ".join(sorted(self._proposed))
            raise ValueError(f"{used} in the penalty: add, for instance, `proposals = 10 from policy`")
        if self._reads_returns and self.horizon is None:
            raise ValueError("return_to_go in the penalty: add, for instance, `horizon = 1000`")
        return self

    @property
    def _proposed(self) -> set[str]:
        """What the penalty reads of the proposals."""
        return set() if self.penalty is None else {*PROPOSED} & variables(self.penalty)

    @property
    def _reads_returns(self) -> bool:
        return self.penalty is not None and "return_to_go" in variables(self.penalty)

    def needs(self) -> frozenset[str]:
        return self.requires | ({"log_prob"} if "log_density" in self._proposed else set())

    def unread(self) -> dict[str, str]:
        read = variables(self.backup) | functions(self.backup)
        if "value_distribution" in self.kind.provides:
            read |= {"discount", "a_next"}
        lacking = {option: names for option, names in READ_BY_BACKUP.items() if not read & {*names}}
        found = {option: f"the backup does not use {names[0]}" for option, names in lacking.items()}
        if not self._proposed:
            found["proposals"] = "no penalty uses a_any"
        if not self._reads_returns:
            found["horizon"] = "no penalty uses return_to_go"
        return found

    def warnings(self, at: Position) -> Iterator[Diagnostic]:
        discount = at.algorithm.start(self.discount)
        if discount == 0:
            yield warning("FRL0310", "with discount 0 the critic sees one reward", at.written("discount"))
        elif discount == 1:
            message = "with discount 1 values of tasks without end grow without bound"
            yield warning("FRL0310", message, at.written("discount"), "for instance 0.99")
        if not self._is_read(at):
            message = "the critic is trained, but neither the policy nor the choice of actions reads it"
            yield warning("FRL0313", message, at.span)
        if self.ensemble == 1:
            yield from self._comparisons_of_one(at)

    def _is_read(self, at: Position) -> bool:
        """Whether another part of the algorithm calls its values or needs what they provide."""
        others = {path: part for path, part in at.components.items() if path.partition(".")[0] != at.path}
        called = set().union(*(functions(formula) for _, formula in formulas(others)))
        needed = set().union(*(part.needs() for part in others.values()))
        return bool(called & {"Q", "Q_target"} or needed & self.capabilities())

    def _comparisons_of_one(self, at: Position) -> Iterator[Diagnostic]:
        for path, formula in formulas(at.components):
            for term in terms(formula.term):
                if isinstance(term, Operation) and term.function in ("min", "max", "std") and "ensemble" in term.over:
                    message = f"the ensemble has one member, so that this {term.function} does nothing"
                    yield warning("FRL0316", message, at.algorithm.written(path), f"{at.path}.ensemble is 1")

    @property
    def trains(self) -> bool:
        return self.kind.trains

    def idle(self, at: Position) -> dict[str, str]:
        reason = f'critic "{self.kind.name}" has no parameters to train'
        return {} if self.trains else dict.fromkeys(FOR_TRAINING, reason)

    def capabilities(self) -> frozenset[str]:
        return self.kind.capabilities()

    @property
    def window(self) -> int:
        return self.n_step

    @property
    def looks_ahead(self) -> int:
        return self.horizon or 0 if self.trains and self._reads_returns else 0

    @property
    def follows_actions(self) -> bool:
        return self.trains and bool(FOLLOWING & variables(self.backup))

    @property
    def sees(self) -> Target | None:
        """The update of the range of targets; a critic that is not trained has no targets."""
        return self.seen if self.trains else None

    def init(self, ctx: Context, key: Value) -> dict[str, Value]:
        params, steps = self.kind.init(ctx.widened(action=True), key, self.ensemble), f"{ctx.owner}_opt"
        state = {ctx.owner: params, steps: self.optimizer.init(ctx, params, steps)}
        state |= self.kind.memory(ctx, self.ensemble)
        if self.sees is not None:
            for name, low, high in ((f"{ctx.owner}_seen", 1e8, -1e8), (f"{ctx.owner}_bounds", 0.0, 0.0)):
                state[name] = ctx.builder.add("Init", call(interval, low, high), (), TREE, name)
        return state if self.target is None else state | {f"{ctx.owner}_target": params}

    def update(self, ctx: Context, batch: dict[str, Value]) -> dict[str, Value]:
        """The new versions after one gradient step towards the temporal-difference targets."""
        if not self.trains:
            return {}
        b, s_next = ctx.builder, batch["s_next"]
        judge = ctx.owner if self.target is None else f"{ctx.owner}_target"
        choice = self.next_action
        a_next = choice.value.choose(ctx, choice.source, s_next, "a_next", judge)
        values = self._returns(ctx, batch)
        several, sizes = self._several(ctx, s_next)
        y = b.stop(ctx.formula(self.backup, "backup", sizes, **values | several, a_next=a_next), "y")
        y = ctx.broadcast(y, ("batch",), batch["d"])
        keep = b.elementwise("continuation", values["discount"], values["d"], name="keep")
        future = Future(*ctx.judge(judge, s_next, a_next)[1:], keep)
        loss, memory = self.kind.loss(*ctx.judge(ctx.owner, batch["s"], batch["a"]), y, future, self.reduction)
        loss = self._penalized(ctx, batch, loss)
        written = ctx.descend(ctx.owner, loss, self.optimizer) | memory
        written |= self._report(ctx, batch, y)
        if self.sees is not None:
            seen = f"{ctx.owner}_seen"
            inputs = (ctx.versions[seen], y)
            written[seen] = b.add("Reduce", call(wider, Arg(0), Arg(1)), inputs, TREE, "seen")
        return written

    def _penalized(self, ctx: Context, batch: dict[str, Value], loss: Value) -> Value:
        """The loss, and the penalty of the members reduced as it is."""
        if self.penalty is None:
            return loss
        b = ctx.builder
        values = {} if self.proposals is None else proposed(ctx, batch, self.proposals, self._proposed)
        if self._reads_returns:
            values["return_to_go"] = return_to_go(ctx, batch, ctx.scalar(self.discount))
        penalty = ctx.formula(self.penalty, "penalty", {}, s=batch["s"], a=batch["a"], **values)
        for axis, reduction in (("batch", "mean"), ("ensemble", self.reduction)):
            penalty = b.reduce(f"jnp.{reduction}", penalty, (axis,), "penalty_of") if axis in penalty.axes else penalty
        ctx.metric("penalty", penalty)
        return b.elementwise("jnp.add", loss, penalty, name="penalized_loss")

    def _several(self, ctx: Context, s_next: Value) -> tuple[dict[str, Value], dict[str, int]]:
        """The further actions of the backup, and their number; none without ``next_actions``."""
        if self.next_actions is None:
            return {}, {}
        count, source = self.next_actions.value, self.next_actions.source
        if not CHAIN.keys() & variables(self.backup):
            return {"a_nexts": ctx.draw(source, s_next, "a_nexts", particles=count)}, {"N": count}
        own, params, s = ctx.actor(source, s_next)
        backbone = own.own.backbone
        drawn = backbone.draw_steps(own, params, s, "a_nexts", count)
        return {"a_nexts": drawn.action, "chain": drawn.chain, "chain_eps": drawn.eps, **backbone.step_rates(own)}, {
            "N": count
        }

    def _report(self, ctx: Context, batch: dict[str, Value], y: Value) -> dict[str, Value]:
        """The feedback of the errors to the sampling of batches."""
        train: Any = ctx.algorithm.sections["train"]
        if not train.sampling.feedback:
            return {}
        told = train.sampling.report(ctx, ctx.q(ctx.owner, batch["s"], batch["a"]), y)
        reported = {"feedback.reported": ctx.builder.constant(1.0, "reported")}
        return reported | {f"feedback.{name}": value for name, value in told.items()}

    def _returns(self, ctx: Context, batch: dict[str, Value]) -> dict[str, Value]:
        """The values of the backup: the batch, its returns, and the discount of the value at their end [batch]."""
        b, rate = ctx.builder, ctx.scalar(self.discount)
        if "rewards" not in batch:
            return batch | {"discount": ctx.broadcast(rate, ("batch",), batch["r"])}
        seen = {name: value for name, value in batch.items() if name not in ("rewards", "count")}
        inputs = (batch["rewards"], rate)
        seen["r"] = b.add("Return", call(n_step_return, Arg(0), Arg(1)), inputs, Type(("batch",)), "n_step_return")
        seen["discount"] = b.elementwise("jnp.power", rate, batch["count"], name="n_step_discount")
        return seen

    def follows(self, owner: str) -> dict[str, str]:
        copies = {} if self.target is None else {f"{owner}_target": owner}
        return copies if self.sees is None else copies | {f"{owner}_bounds": f"{owner}_seen"}

    def follow(self, ctx: Context, group: str) -> Value:
        if self.sees is None or group != f"{ctx.owner}_bounds":
            return super().follow(ctx, group)
        bounds = ctx.versions[group]
        inputs = (ctx.versions[f"{ctx.owner}_seen"], bounds)
        seen = ctx.builder.add("Arithmetic", call(range_seen, Arg(0), Arg(1)), inputs, TREE, "seen")
        return self.sees.follow(ctx, bounds, seen, group)

    def called(self, ctx: Context, function: str, *arguments: Value) -> Value:
        if function == "within_seen":
            x, bounds = *arguments, ctx.versions[f"{ctx.owner}_bounds"]
            return ctx.builder.add("Arithmetic", call(bounded, Arg(0), Arg(1)), (x, bounds), x.type, "within_seen")
        return ctx.q(ctx.source or ctx.owner if function == "Q" else f"{ctx.owner}_target", *arguments)
