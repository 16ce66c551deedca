"""The time itself."""

from __future__ import annotations

from typing import ClassVar

from flowrl_dsl.components.base import Embedding
from flowrl_dsl.graph.expr import Build, build, kernel
from flowrl_dsl.lazy import nn
from flowrl_dsl.registry import register


@kernel
def raw_time():
    """The time as its only feature: [...] becomes [..., 1]."""

    class RawTime(nn.Module):
        def __call__(self, t):
            return t[..., None]

    return RawTime()


@register
class Raw(Embedding):
    """The time t as a single input of the network, without features."""

    name = "raw"
    paper = "arXiv:2502.02538"

    hidden: ClassVar[int] = 1

    def module(self, name: str) -> Build:
        return build(name, raw_time)
