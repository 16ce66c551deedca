"""Contracts of sections: the groups of a section in the state, its stage, and the embeddings of an encoder."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from typing import TYPE_CHECKING, ClassVar

from flowrl_dsl.components.entries import OPTION, named
from flowrl_dsl.diagnostics import Diagnostic, error
from flowrl_dsl.graph.builder import Value
from flowrl_dsl.record import Record
from flowrl_dsl.registry import SectionKind

if TYPE_CHECKING:
    from flowrl_dsl.algorithm import Algorithm, Position
    from flowrl_dsl.components.context import Context


class Section(SectionKind):
    """A braced section of a spec, and its parameter groups in the state.

    Its groups are named after it: ``policy``, ``policy_opt``.  ``ctx.owner`` is that name, ``ctx.own`` the section itself.
    """

    @property
    def window(self) -> int:
        """Number of consecutive steps that a batch must contain for it."""
        return 1

    @property
    def looks_ahead(self) -> int:
        """Number of rewards from a transition on that a batch must contain for it, beside those of the window."""
        return 0

    @property
    def follows_actions(self) -> bool:
        """Whether it reads ``a_next_seen`` and ``next_seen``, which the source derives."""
        return False

    def record(self, algorithm: Algorithm) -> Record:
        """The fields it requests besides those of a step; it fills those filled by ``act`` (:meth:`acted`)."""
        return {}

    def acted(self, ctx: Context, s: Value, a: Value, drawn: Value) -> dict[str, Value]:
        """Its fields filled by acting, for observations [batch, obs] and the actions [batch, action] taken there.

        ``drawn`` are the actions as ``act.explore`` chose them, before they were clipped to [-1, 1].
        """
        return {}

    def prepared(self, ctx: Context, batch: dict[str, Value]) -> dict[str, Value]:
        """The batch that all stages read, from the stored one."""
        return batch

    def completed(self, ctx: Context, batch: dict[str, Value]) -> dict[str, Value]:
        """A rollout with what it derives from all of its steps; called where the regime has rollouts."""
        return batch

    def derived(self) -> Record:
        """The fields that it adds to a rollout."""
        return {}

    def init(self, ctx: Context, key: Value) -> dict[str, Value]:
        """Its groups before the first update."""
        return {}

    def update(self, ctx: Context, batch: dict[str, Value]) -> dict[str, Value]:
        """The new versions of its groups after its stage."""
        return {}

    def follows(self, owner: str) -> dict[str, str]:
        """The groups updated by the stage ``targets``, and the source group of each."""
        return dict.fromkeys(self.kept(owner), owner)

    def follow(self, ctx: Context, group: str) -> Value:
        """The new version of one of the groups that it ``follows``."""
        rule = getattr(self, self.kept(ctx.owner)[group].option)
        return rule.follow(ctx, ctx.versions[group], ctx.versions[self.follows(ctx.owner)[group]], group)

    def called(self, ctx: Context, function: str, *arguments: Value) -> Value:
        """The value of one of its ``functions``."""
        raise TypeError(f'section "{self.name}" has no function {function}')


class Encoder(Section):
    """A section whose embeddings of observations, and of observations with actions, are further inputs of networks.

    ``size``: dimension of an embedding.
    """

    encodes: ClassVar[bool] = True
    size: int

    def errors(self, at: Position) -> Iterator[Diagnostic]:
        """Embeddings are those of whole observations, which every network then reads."""
        for name, owner in named(at.algorithm).items():
            message = f"the {owner} reads the entry {name} of observations, but embeddings are made of all entries"
            place = at.algorithm.written(f"{owner}.{OPTION}") or at.span
            yield error("FRL0263", message, place, f"leave out {owner}.{OPTION}, or the section {at.path}")

    @property
    def input_width(self) -> int | None:
        """Width of a normalised layer through which networks read raw inputs beside embeddings; None for no such layer."""
        return None

    @abstractmethod
    def copy_read_by(self, source: str) -> str:
        """The group of its parameters read by ``source``, a policy, a critic or a copy of one."""

    @abstractmethod
    def with_state(self, ctx: Context, params: Value, s: Value) -> Value:
        """Observations concatenated with their embeddings: [..., obs]."""

    @abstractmethod
    def with_pair(self, ctx: Context, params: Value, s: Value, a: Value) -> Value:
        """Actions concatenated with the embeddings of the pairs: [..., action] over the axes of s and a."""
