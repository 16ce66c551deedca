"""Warnings: specs that are valid and probably not what their author wants."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

from flowrl_dsl.algorithm import Algorithm, Condition, Origin, conditions
from flowrl_dsl.diagnostics import Diagnostics, Span
from flowrl_dsl.formula import Formula, Gradient, Operation, Variable, functions, terms
from flowrl_dsl.registry import Component, Drawn, Scalar
from flowrl_dsl.spec.merge import Program
from flowrl_dsl.spec.walk import formulas

LONGEST = 30
"""Lines of an algorithm of its own; what is longer hides what is new in it."""
FASTEST = 1e-2
"""A learning rate beyond which Adam rarely settles."""
SMALLEST_ERROR = 1e-2
"""A bound on squared noise errors below which nearly all of them are cut, and with them their gradients."""


def lint(algorithm: Algorithm | None, program: Program, text: str, diagnostics: Diagnostics) -> None:
    """Add the warnings for a checked algorithm; ``text`` is its own file's.  Defaults are never warned about."""
    if algorithm is not None:
        linter = _Linter(algorithm, program, text, diagnostics)
        for rule in RULES:
            rule(linter)


@dataclass
class _Linter:
    """The algorithm, taken apart for the rules."""

    algorithm: Algorithm
    program: Program
    text: str
    diagnostics: Diagnostics

    @cached_property
    def options(self) -> list[tuple[str, object, Component]]:
        """Every option of every component: path, value, and the component that has it."""
        roots: list[tuple[str, Component | None]] = [*self.algorithm.sections.items()]
        roots += [(improvement.label, improvement.mechanism) for improvement in self.algorithm.improvements]
        for name, parameter in self.algorithm.parameters.items():
            roots += [(name, parameter.learned), (name, parameter.schedule)]
        return [entry for path, root in roots if root is not None for entry in _options(path, root)]

    @cached_property
    def formulas(self) -> list[tuple[str, Formula]]:
        return [(path, value) for path, value, _ in self.options if isinstance(value, Formula)]

    @cached_property
    def functions(self) -> set[str]:
        return set().union(*(functions(formula) for _, formula in self.formulas))

    @cached_property
    def sources(self) -> set[str]:
        return {value.source for _, value, _ in self.options if isinstance(value, Drawn)}

    @property
    def place(self) -> Span:
        return self.program.name.span

    def get(self, path: str) -> object:
        return next((value for other, value, _ in self.options if other == path), None)

    def number(self, value: object) -> float | None:
        """The number a scalar starts from."""
        if not isinstance(value, Scalar):
            return None
        parameter = self.algorithm.parameters.get(value.name)
        if value.value is None and parameter is not None:
            return parameter.value
        start = getattr(value.schedule, "start", None)
        return start.value if isinstance(start, Scalar) else value.value

    def written(self, *paths: str) -> Span | None:
        """The place of the first of these options that somebody wrote."""
        for path in paths:
            origin: Origin | None = self.algorithm.origins.get(path)
            if origin is not None and origin.source != "default":
                return origin.span
        return None

    def warn(self, code: str, message: str, span: Span | None, *notes: str) -> None:
        """Report at a place that somebody wrote; without one, nothing is said."""
        if span is not None:
            self.diagnostics.warning(code, message, span, *notes)


def _options(path: str, component: Component) -> Iterator[tuple[str, object, Component]]:
    for name in type(component).model_fields:
        value, inner = getattr(component, name), f"{path}.{name}"
        yield inner, value, component
        held = value.value if isinstance(value, Drawn) else value
        held = held.schedule if isinstance(held, Scalar) else held
        if isinstance(held, Component):
            yield from _options(inner, held)


# --- parameters


def division_by_zero(linter: _Linter) -> None:
    """A parameter that is 0 under a fraction bar."""
    zeros = {name for name, parameter in linter.algorithm.parameters.items() if parameter.value == 0}
    for _, formula in linter.formulas:
        for term in terms(formula.term):
            if isinstance(term, Operation) and term.function == "div":
                below = {t.name for t in terms(term.operands[1]) if isinstance(t, Variable)} & zeros
                for name in sorted(below):
                    linter.warn("FRL0301", f'param "{name}" is 0, and this divides by it', term.span)


def edge_of_range(linter: _Linter) -> None:
    """A parameter that starts where its range ends."""
    for name, parameter in linter.algorithm.parameters.items():
        interval = parameter.interval
        if parameter.value in (interval.low, interval.high) and interval.low < interval.high:
            message = f'param "{name}" starts at the edge of its range {interval}'
            linter.warn("FRL0302", message, parameter.span, "there is room on one side only")


def no_range(linter: _Linter) -> None:
    """A parameter that may be anything."""
    for name, param in linter.program.params.items():
        if param.range is None and name in linter.algorithm.parameters:
            hint = f"say which values make sense: param {name} = ... in (0, 1]"
            linter.warn("FRL0303", f'param "{name}" has no range', param.name.span, hint)


# --- acting


def best_of_one(linter: _Linter) -> None:
    """The best of one sample is that sample."""
    for path, value, component in linter.options:
        if component.family == "action" and component.name == "best_of" and path.endswith(".n") and value == 1:
            message = "the best of one sample is that sample"
            linter.warn("FRL0304", message, linter.written(path), "write sample, or best_of with more")


def explores_nothing(linter: _Linter) -> None:
    """Exploring without randomness collects the same action again and again."""
    explore = linter.get("act.explore")
    action = explore.value if isinstance(explore, Drawn) else None
    if action is None:
        return
    fixed = getattr(linter.get("policy.backbone"), "name", "") == "deterministic"
    noiseless = action.name == "noise" and linter.number(getattr(action, "scale", None)) == 0
    if action.name == "mean" or (fixed and (action.name in ("sample", "best_of") or noiseless)):
        place = linter.written("act.explore", "policy.backbone")
        linter.warn("FRL0305", "exploration has no randomness", place, "for instance explore = noise(0.1)")


# --- data


def early_start(linter: _Linter) -> None:
    """Updates that start before one batch has been collected."""
    warmup, batch = linter.get("train.warmup"), linter.get("train.batch")
    if isinstance(warmup, int) and isinstance(batch, int) and warmup < batch:
        message = f"updates start after {warmup} steps, before there is one batch of {batch}"
        place = linter.written("train.warmup", "train.batch")
        linter.warn("FRL0306", message, place, "the first batches repeat the same few transitions")


def small_replay(linter: _Linter) -> None:
    """A replay buffer that loses data before it is used."""
    replay, place = linter.get("train.replay"), linter.written("train.replay", "train.warmup", "train.batch")
    for name in ("batch", "warmup"):
        other = linter.get(f"train.{name}")
        if isinstance(replay, int) and isinstance(other, int) and replay < other:
            message = f"the replay buffer holds {replay} transitions, fewer than the {name} of {other}"
            linter.warn("FRL0307", message, place)
            return


def rare_evaluation(linter: _Linter) -> None:
    """A run that ends before its first evaluation."""
    steps, every = linter.get("train.steps"), linter.get("train.evaluate_every")
    if isinstance(steps, int) and isinstance(every, int) and every > steps:
        message = f"a run of {steps} steps ends before its first evaluation at {every}"
        linter.warn("FRL0308", message, linter.written("train.evaluate_every", "train.steps"))


# --- learning


def idle_average(linter: _Linter) -> None:
    """An average that never moves, or that is no average."""
    for path, value, component in linter.options:
        rate = linter.number(value) if component.family == "target" and path.endswith(".rate") else None
        if rate == 0:
            linter.warn("FRL0309", "with rate 0 this copy never moves", linter.written(path))
        elif rate == 1:
            message = "with rate 1 this copy is the parameters themselves"
            linter.warn("FRL0309", message, linter.written(path), "for instance ema(0.005)")


def extreme_discount(linter: _Linter) -> None:
    """A critic that sees no future, or all of it."""
    discount = linter.number(linter.get("critic.discount"))
    if discount == 0:
        linter.warn("FRL0310", "with discount 0 the critic sees one reward", linter.written("critic.discount"))
    elif discount == 1:
        message = "with discount 1 values of tasks without end grow without bound"
        linter.warn("FRL0310", message, linter.written("critic.discount"), "for instance 0.99")


def fast_learning(linter: _Linter) -> None:
    """A learning rate that is probably a slip of the exponent; a parameter learned by itself may take larger steps."""
    for path, value, _ in linter.options:
        network = path.partition(".")[0] not in linter.algorithm.parameters
        rate = linter.number(value) if network and path.endswith(".learning_rate") else None
        if rate is not None and rate > FASTEST:
            message = f"a learning rate of {rate:g} is beyond what trains well"
            linter.warn("FRL0311", message, linter.written(path), "common values are 1e-4 to 1e-3")


def unread_copies(linter: _Linter) -> None:
    """A copy that is kept and moved for nobody."""
    needs = set().union(*(improvement.mechanism.needs() for improvement in linter.algorithm.improvements))
    readers = (
        ("critic.target", "Q_target" in linter.functions or "q_target" in needs, "Q_target"),
        ("policy.target", "policy_target" in linter.sources | needs, "policy_target"),
        ("policy.old", "old_policy" in linter.sources | needs, "old_policy"),
    )
    for path, read, name in readers:
        if linter.get(path) is not None and not read:
            message = f'"{path}" is kept, but nothing reads {name}'
            linter.warn("FRL0312", message, linter.written(path), "leave it out, or read it")


def unread_critic(linter: _Linter) -> None:
    """A critic that is trained for nobody."""
    outside = [f for path, f in linter.formulas if not path.startswith("critic.")]
    called = set().union(*(functions(formula) for formula in outside))
    if "critic" not in linter.algorithm.sections or called & {"Q", "Q_target"}:
        return
    offered = linter.algorithm.sections["critic"].capabilities()
    readers = [component for path, _, component in linter.options if not path.startswith("critic.")]
    readers += [value.value for path, value, _ in linter.options if isinstance(value, Drawn) and path.startswith("act.")]
    if not any(reader.needs() & offered for reader in readers if isinstance(reader, Component)):
        message = "the critic is trained, but neither the policy nor the choice of actions reads it"
        linter.warn("FRL0313", message, linter.program.sections["critic"].name.span)


# --- improvement


def no_weight(linter: _Linter) -> None:
    """A term of the loss that counts for nothing."""
    for improvement in linter.algorithm.improvements:
        if linter.number(improvement.weight) == 0:
            message = f"{improvement.label} has weight 0: it costs time and changes nothing"
            linter.warn("FRL0314", message, improvement.span)


def lonely_particle(linter: _Linter) -> None:
    """Weights among one candidate."""
    for path, value, component in linter.options:
        compared = [formula for formula in formulas(component) if _compares_particles(formula)]
        if path.endswith(".particles") and isinstance(value, Drawn) and value.value == 1 and compared:
            message = "with one particle, what compares particles is constant"
            linter.warn("FRL0315", message, linter.written(path), f"the formula is {compared[0].text}")


def _compares_particles(formula: Formula) -> bool:
    return any("particle" in term.over for term in terms(formula.term) if isinstance(term, Operation))


def lonely_critic(linter: _Linter) -> None:
    """A comparison among one ensemble member."""
    if linter.get("critic.ensemble") != 1:
        return
    for path, formula in linter.formulas:
        for term in terms(formula.term):
            if isinstance(term, Operation) and term.function in ("min", "max", "std") and "ensemble" in term.over:
                message = f"the ensemble has one member, so that this {term.function} does nothing"
                linter.warn("FRL0316", message, linter.written(path), "critic.ensemble is 1")


def tight_clip(linter: _Linter) -> None:
    """A bound on errors that cuts nearly all gradients."""
    for path, value, _ in linter.options:
        bound = linter.number(value) if path.endswith(".clip_error") else None
        if bound is not None and bound < SMALLEST_ERROR:
            message = f"clip_error = {bound:g} clips nearly every error, so almost no gradient remains"
            linter.warn("FRL0317", message, linter.written(path), "published values are 3 and 5")


def zero_gradient(linter: _Linter) -> None:
    """A gradient by something that the value does not depend on."""
    for _, formula in linter.formulas:
        for term in terms(formula.term):
            if isinstance(term, Gradient) and term.wrt.name not in _flowing(term):
                message = f"this gradient is 0: nothing in it depends on {term.wrt.name}"
                linter.warn("FRL0318", message, term.span)


def _flowing(gradient: Gradient) -> set[str]:
    """Names through which a gradient can flow: those outside of ``stop``."""
    stopped = [t for t in terms(gradient.value) if isinstance(t, Operation) and t.function == "stop"]
    behind = {id(t) for stop in stopped for t in terms(stop)}
    return {t.name for t in terms(gradient.value) if isinstance(t, Variable) and id(t) not in behind}


def unread_uniform(linter: _Linter) -> None:
    """A weight for uniform actions where there are none."""
    for path, value, _ in linter.options:
        if path.endswith(".uniform") and value == 0:
            place = linter.written(f"{path}_weight")
            linter.warn("FRL0319", f'"{path}_weight" has no effect: there are no uniform actions', place)


# --- order, schedules, length


def every_update(linter: _Linter) -> None:
    """``every(1, ...)``."""
    if Condition() in conditions(linter.algorithm.order):
        linter.warn("FRL0320", "every(1, ...) is the same as its part", linter.written("order"))


def endless_schedule(linter: _Linter) -> None:
    """A schedule that outlasts the run, or that goes nowhere."""
    steps, updates = linter.get("train.steps"), linter.get("train.updates")
    total = steps * updates if isinstance(steps, int) and isinstance(updates, int) else None
    for path, value, component in linter.options:
        if component.family != "schedule" or not path.endswith(".over") or not isinstance(value, int):
            continue
        start, end = (linter.number(getattr(component, name, None)) for name in ("start", "end"))
        place = linter.written(path)
        if start is not None and start == end:
            linter.warn("FRL0321", f"the schedule stays at {start:g}", place)
        elif total is not None and value > total:
            linter.warn("FRL0321", f"the schedule ends after {value} updates, the run after {total}", place)


def long_spec(linter: _Linter) -> None:
    """An algorithm of more lines than a reader takes in at once."""
    lines = [line for line in linter.text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    if len(lines) > LONGEST:
        message = f"the spec has {len(lines)} lines of its own, more than {LONGEST}"
        hint = "leave out what is default, or extend a spec that has it"
        linter.warn("FRL0322", message, linter.place, hint)


def idle_dropout(linter: _Linter) -> None:
    """A policy whose units are never dropped, since nothing fits its network by regression."""
    path = "policy.network.dropout"
    rate = linter.get(path)
    fits = any("noise_process" in improvement.mechanism.needs() for improvement in linter.algorithm.improvements)
    if isinstance(rate, float) and rate > 0 and not fits:
        message = "the policy's dropout is never on: no improve block fits its network by regression"
        linter.warn("FRL0323", message, linter.written(path), "actions are drawn without it")


def idle_steps(linter: _Linter) -> None:
    """A sampler of more steps than there are noise levels to take."""
    steps, levels = linter.get("policy.sampler.steps"), linter.get("policy.backbone.schedule.levels")
    if isinstance(steps, int) and isinstance(levels, int) and steps > levels:
        message = f"the sampler takes {levels} of its {steps} steps: the schedule has {levels} noise levels"
        place = linter.written("policy.sampler.steps", "policy.backbone.schedule.levels", "policy.sampler")
        linter.warn("FRL0324", message, place, f"for instance steps = {levels}, or more levels")


RULES: tuple[Callable[[_Linter], None], ...] = (
    division_by_zero,
    edge_of_range,
    no_range,
    best_of_one,
    explores_nothing,
    early_start,
    small_replay,
    rare_evaluation,
    idle_average,
    extreme_discount,
    fast_learning,
    unread_copies,
    unread_critic,
    no_weight,
    lonely_particle,
    lonely_critic,
    tight_clip,
    zero_gradient,
    unread_uniform,
    every_update,
    endless_schedule,
    long_spec,
    idle_dropout,
    idle_steps,
)
