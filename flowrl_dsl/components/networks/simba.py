"""SimBa: residual feed-forward blocks after layer normalisation."""

from __future__ import annotations

from pydantic import Field

from flowrl_dsl.components.base import Network
from flowrl_dsl.components.first_layer import first_layer
from flowrl_dsl.components.stored import dense_layer
from flowrl_dsl.graph.expr import Build, build, kernel
from flowrl_dsl.lazy import nn
from flowrl_dsl.registry import register


@kernel(split="split")
def simba(inputs, width, blocks, outputs, expansion, dropout, split=False):
    """h + narrow(relu(widen(norm(h)))), block after block; head(norm(h)).

    With a random key ``dropout``, units of each block's output are dropped.
    """
    dense = dense_layer()

    class Simba(first_layer(inputs, width, 1.0, split)):
        def setup(self):
            super().setup()
            he = nn.initializers.he_normal()
            self.widen = [dense(expansion * width, kernel_init=he) for _ in range(blocks)]
            self.narrow = [dense(width, kernel_init=he) for _ in range(blocks)]
            self.norms = [nn.LayerNorm() for _ in range(blocks + 1)]
            self.drop = nn.Dropout(dropout)
            self.head = dense(outputs, kernel_init=nn.initializers.orthogonal(1.0))

        def __call__(self, values, projected=None):
            h = self.start(values, projected)
            for i in range(blocks):
                added = self.narrow[i](nn.relu(self.widen[i](self.norms[i](h))))
                h = h + self.drop(added, deterministic=not self.has_rng("dropout"))
            return self.head(self.norms[-1](h))

    return Simba()


@register
class Simba(Network):
    """SimBa: ``h <- h + W_2 relu(W_1 norm(h))`` for each block, W_1 ``expansion`` times as wide, head ``W norm(h)``.

    The final layer norm bounds the input of the head.  He-normal kernels in the blocks, orthogonal ones of gain 1 in
    the first layer and the head, zero biases.  The paper normalises observations as well: `normalize = running`.
    """

    name = "simba"
    paper = "arXiv:2410.09754"

    width: int = Field(256, ge=3, description="width between blocks; at least 3, as a layer norm of 2 leaves only signs")
    blocks: int = Field(2, ge=1, description="residual blocks")
    expansion: int = Field(4, ge=1, description="ratio of the inner width of a block to `hidden`")
    dropout: float = Field(0.0, ge=0, lt=1, description="dropout rate of each block's output")

    def module(self, name: str, inputs: tuple[tuple[str, int], ...], outputs: int) -> Build:
        shape = {"width": self.width, "blocks": self.blocks, "outputs": outputs}
        return build(name, simba, inputs=inputs, **shape, expansion=self.expansion, dropout=self.dropout)
