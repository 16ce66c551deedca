"""The influence of a stage: a loss changes only its own parameters; a copy moves between itself and its original."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from flowrl_dsl.algorithm import (
    POLICY,
    Action,
    Algorithm,
    Condition,
    CopyParameters,
    Stage,
    StageSearch,
    StageVisitor,
    stage_names,
)
from flowrl_dsl.components.context import learned_group
from flowrl_dsl.testing.instruments import group_of, steps_of, trained_groups
from flowrl_dsl.testing.trees import assert_equal
from flowrl_dsl.testing.trials import Trial


def check_losses_touch_only_their_own(trial: Trial) -> None:
    """The gradient of a loss changes only its own parameters, their copies, and groups that may read them by the order.

    Each gradient in turn is set to nan.  Groups that it cannot reach by the order of the spec must stay bitwise identical.
    """
    groups = trained_groups(trial.graph)
    healthy = _state_of(trial, trial.values())
    due = _Due(int(trial.state["step"])).visit(trial.algorithm.order)
    running = set().union(*(_trained_by(trial.algorithm, stage) for stage in due))
    for group in groups:
        ill = _state_of(trial, trial.values(None, None, **{f"poison.{group}": np.nan}))
        if group not in running:  # of another phase
            assert_equal(f"{group} is changed in an update without its stage: ", ill[group], healthy[group])
            continue
        assert all(np.isnan(leaf).all() for leaf in jax.tree.leaves(ill[group])), f"{group} is not changed by its gradient"
        reached = _Reach(trial, group).visit(trial.algorithm.order) | {"bad_update"}
        for name in ill.keys() - reached:
            assert_equal(f"the gradient of {group} reaches {name}: ", ill[name], healthy[name])


def _state_of(trial: Trial, values: dict[str, Any]) -> dict[str, Any]:
    """The groups of the state after a step with these values."""
    outputs = trial.graph.outputs.items()
    return {out.removeprefix("state."): values[name] for out, name in outputs if out.startswith("state.")}


def check_targets(trial: Trial) -> None:
    """A copy moves towards its original: new copy = (1 - x) copy + x original, one x in [0, 1] for all its entries.

    Depending on the order, the original is taken before or after its own step, or between two of its steps.  In a trial,
    copies differ from their originals.
    """
    before, (after, *_) = trial.state, trial.stepped
    between: dict[str, list[Any]] = {}
    for step in steps_of(trial.graph):
        if step.inputs[0] in trial.interpreted:
            between.setdefault(group_of(trial.graph, step), []).append(trial.interpreted[step.inputs[0]])
    for copy, original in originals(trial.algorithm).items():
        if not jax.tree.leaves(before[copy]):
            continue  # the original has no parameters
        versions = [before[original], after[original], *between.get(original, [])]
        ways = [_share(before[copy], version, after[copy]) for version in versions]
        assert any(ways), f"{copy} is no convex combination of itself and {original}, before or after its step"
        trial.did["copies"] += 1


def _share(old: Any, original: Any, new: Any) -> bool:
    """Whether an x as in :func:`check_targets` exists, up to rounding."""
    old, original, new = (
        np.concatenate([np.ravel(x) for x in jax.tree.leaves(t)]).astype(float) for t in (old, original, new)
    )
    towards, moved = original - old, new - old
    share = min(max(towards @ moved / max(towards @ towards, 1e-30), 0.0), 1.0)
    return bool(np.abs(moved - share * towards).max(initial=0.0) <= 1e-5 * max(1.0, np.abs(old).max(initial=0.0)))


def originals(algorithm: Algorithm) -> dict[str, str]:
    """The copies in the state, and the original of each."""
    sections: Any = algorithm.sections
    return {copy: followed for name, section in sections.items() for copy, followed in section.follows(name).items()}


def kept_beside(trial: Trial, section: str) -> set[str]:
    """The groups of the state that a section's stage writes: all groups with its name as prefix except the copies."""
    return {group for group in trial.state if group.startswith(f"{section}_")} - originals(trial.algorithm).keys()


def _trained_by(algorithm: Algorithm, stage: str) -> set[str]:
    """The groups that a stage trains; with some mechanisms, the policy's stage also, or only, trains the critic."""
    trained = [getattr(b.mechanism, "trains", POLICY) for b in algorithm.improvements if b.owner == stage]
    if trained:
        return {stage if group == POLICY else group for group in trained}
    return {learned_group(stage) if stage in algorithm.parameters else stage}


@dataclass
class _Due(StageSearch[str]):
    """The stages that run in the update ``step``."""

    step: int

    def single(self, name: str) -> list[str]:
        return [name]

    def when(self, condition: Condition, stage: Stage) -> list[str]:
        begun = self.step >= condition.after and (condition.until is None or self.step < condition.until)
        return self.visit(stage) if begun and (self.step + 1) % condition.every == 0 else []


@dataclass
class _Reach(StageVisitor[set[str]]):
    """The groups of the state that a change of one group's gradient may reach, by the order of the spec alone.

    ``seen`` are the changed groups that the visited stage may read; the result is the set of changed groups it writes.
    """

    trial: Trial
    group: str
    seen: frozenset[str] = frozenset()
    measured: bool = False

    def sequence(self, parts: tuple[Stage, ...]) -> set[str]:
        before, written = self.seen, set[str]()
        for part in parts:
            self.seen = before | written
            written |= self.visit(part)
        self.seen = before
        return written

    def together(self, parts: tuple[Stage, ...]) -> set[str]:
        first = sorted(parts, key=lambda part: POLICY not in stage_names(part))
        return set().union(*map(self.visit, first))

    def when(self, condition: Condition, stage: Stage) -> set[str]:
        return self.visit(stage)

    def begin(self, actions: tuple[Action, ...]) -> set[str]:
        """Copies carry what their source has; the state of a fresh optimizer depends on no value."""
        written = set[str]()
        for action in actions:
            if isinstance(action, CopyParameters) and action.source in self.seen | written:
                copies = originals(self.trial.algorithm).items()
                written |= {action.owner, *(copy for copy, original in copies if original == action.owner)}
        return written

    def single(self, name: str) -> set[str]:
        seen = self.seen
        copies = originals(self.trial.algorithm)
        if name == "targets" or name in copies:
            return {copy for copy, original in copies.items() if original in seen and name in ("targets", copy)}
        if name == "policy" and seen:
            self.measured = True
        all_of_it = seen or (name in self.trial.algorithm.parameters and self.measured)
        reached = {group for group in _trained_by(self.trial.algorithm, name) if group == self.group or all_of_it}
        beside = kept_beside(self.trial, name) if name in reached else set()
        return {written for group in reached for written in (group, f"{group}_opt")} | beside
