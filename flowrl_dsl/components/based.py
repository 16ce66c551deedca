"""Contract of bases: what a policy makes of the actions, or of the noise, of another one."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from flowrl_dsl.graph.builder import Value
from flowrl_dsl.graph.expr import Arg, call
from flowrl_dsl.registry import Component

if TYPE_CHECKING:
    from flowrl_dsl.components.base import Sampled
    from flowrl_dsl.components.context import Context


@dataclass(frozen=True)
class Asked:
    """The actions asked of a policy: at observations ``s`` [..., obs], as other policies read them, under a name.

    ``particles`` of them for each observation along the axis ``candidates`` of the context, or one; ``frozen`` stops
    gradients to all parameters.  ``base`` is what they are to be made of, where that is given: [..., action].
    """

    s: Value
    name: str
    particles: int | None = None
    frozen: bool = False
    base: Value | None = None


class Base(Component):
    """What a policy's own draws are to another policy, with which they become actions.

    The policy has of its backbone and sampler only what its base ``passes`` on, and what the base itself provides.  What an
    action was made of is kept in ``ctx.report.bases``, under the name of the action.
    """

    family: ClassVar[str] = "base"
    asks: ClassVar[tuple[str, ...]] = ("source",)
    passes: ClassVar[frozenset[str] | None] = frozenset({"reparameterized", "draw_log_prob"})
    keeps_randomness: ClassVar[bool] = False
    """Whether actions differ where those of the other policy do, though the policy's own draws do not."""

    if TYPE_CHECKING:

        @property
        def source(self) -> str:
            """The other policy, or the copy of it that is read."""

    def reading(self, ctx: Context) -> Context:
        """The context of the policy's network, with the sizes of what it reads."""
        return ctx

    @abstractmethod
    def draw(self, ctx: Context, params: Value, s: Value, asked: Asked) -> Sampled:
        """Actions by the policy ``ctx.own`` with these parameters, which reads the observations s, embedded if there is an
        encoder; their log-density is that of the backbone's own draws, whatever scales these."""


def within_bounds(ctx: Context, a: Value, name: str) -> Value:
    """Actions as an environment clips them to [-1, 1]."""
    return ctx.builder.add("Arithmetic", call("jnp.clip", Arg(0), -1.0, 1.0), (a,), a.type, name)


def turned(ctx: Context, source: str, s: Value, z: Value, name: str, frozen: bool = False) -> Value:
    """The action that a policy with a map of noise makes of z [..., action] at s [..., obs], within [-1, 1]."""
    own, params, seen = ctx.actor(source, s)
    if frozen:
        params = ctx.builder.stop(params, f"{name}_{source}")
    return within_bounds(ctx, own.own.backbone.mapped(own, params, seen, z, f"{name}_mapped"), name)
