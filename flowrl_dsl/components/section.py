"""Contracts of sections: the groups that a section keeps in the state, its stage, and the embeddings of an encoder."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, ClassVar

from flowrl_dsl.graph.builder import Value
from flowrl_dsl.record import Record
from flowrl_dsl.registry import SectionKind

if TYPE_CHECKING:
    from flowrl_dsl.components.context import Context


class Section(SectionKind):
    """A braced section of a spec, and the parameter groups that it keeps in the state.

    Its groups are named after it: ``policy``, ``policy_opt``.  ``ctx.owner`` is that name, ``ctx.own`` the section itself.
    """

    @property
    def window(self) -> int:
        """Steps from the first one on that a batch must hold for it."""
        return 1

    def record(self) -> Record:
        """The fields it asks for beside those of a step; it fills those that are filled by ``act`` (:meth:`acted`)."""
        return {}

    def acted(self, ctx: Context, s: Value, a: Value) -> dict[str, Value]:
        """Its fields that acting fills, for observations [batch, obs] and the actions [batch, action] chosen there."""
        return {}

    def init(self, ctx: Context, key: Value) -> dict[str, Value]:
        """Its groups before the first update."""
        return {}

    def update(self, ctx: Context, batch: dict[str, Value]) -> dict[str, Value]:
        """The new versions of its groups after its stage."""
        return {}

    def follows(self, owner: str) -> dict[str, str]:
        """The groups that the stage ``targets`` moves, and the group that each of them follows."""
        return dict.fromkeys(self.kept(owner), owner)

    def follow(self, ctx: Context) -> dict[str, Value]:
        """The new versions of its copies after the stage ``targets``."""
        return {
            group: getattr(self, copy.option).follow(ctx, ctx.versions[group], ctx.versions[ctx.owner], group)
            for group, copy in self.kept(ctx.owner).items()
        }

    def called(self, ctx: Context, function: str, *arguments: Value) -> Value:
        """The value of one of its ``functions``."""
        raise TypeError(f'section "{self.name}" has no function {function}')


class Encoder(Section):
    """A section whose embeddings of observations, and of observations with actions, stand beside what networks read.

    ``size``: components of an embedding.
    """

    encodes: ClassVar[bool] = True
    size: int

    @abstractmethod
    def copy_read_by(self, source: str) -> str:
        """The group of its parameters that ``source`` reads, a policy, a critic or a copy of one."""

    @abstractmethod
    def with_state(self, ctx: Context, params: Value, s: Value) -> Value:
        """Observations and their embeddings side by side: [..., obs]."""

    @abstractmethod
    def with_pair(self, ctx: Context, params: Value, s: Value, a: Value) -> Value:
        """Actions and the embeddings of the pairs side by side: [..., action] over the axes of s and a."""
