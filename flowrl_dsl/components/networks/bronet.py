"""BroNet: residual blocks with layer normalisation after each dense layer."""

from __future__ import annotations

from pydantic import Field

from flowrl_dsl.components.base import Network
from flowrl_dsl.components.first_layer import first_layer
from flowrl_dsl.components.stored import dense_layer
from flowrl_dsl.graph.expr import Build, build, kernel
from flowrl_dsl.lazy import nn
from flowrl_dsl.registry import register


@kernel(split="split")
def bronet(inputs, width, blocks, outputs, dropout, split=False):
    """relu(norm(first layer)); h + norm(dense(relu(norm(dense(h))))), block after block; head(h).

    With a random key ``dropout``, units of each block's output are dropped.
    """
    dense = dense_layer()

    class BroNet(first_layer(inputs, width, split=split)):
        def setup(self):
            super().setup()
            orthogonal = nn.initializers.orthogonal(2.0**0.5)
            self.layers = [dense(width, kernel_init=orthogonal) for _ in range(2 * blocks)]
            self.norms = [nn.LayerNorm() for _ in range(2 * blocks + 1)]
            self.drop = nn.Dropout(dropout)
            self.head = dense(outputs, kernel_init=orthogonal)

        def __call__(self, values, projected=None):
            h = nn.relu(self.norms[0](self.start(values, projected)))
            for i in range(0, 2 * blocks, 2):
                added = nn.relu(self.norms[i + 1](self.layers[i](h)))
                added = self.norms[i + 2](self.layers[i + 1](added))
                h = h + self.drop(added, deterministic=not self.has_rng("dropout"))
            return self.head(h)

    return BroNet()


@register
class BroNet(Network):
    """BroNet: ``h = relu(norm(W x))``, ``h <- h + norm(W_2 relu(norm(W_1 h)))`` for each block, linear head.

    Orthogonal kernels of gain sqrt 2, zero biases; first layer as in mlp.
    """

    name = "bronet"
    paper = "arXiv:2405.16158"

    width: int = Field(512, ge=3, description="width of every layer; at least 3, as a layer norm of 2 leaves only signs")
    blocks: int = Field(2, ge=1, description="number of residual blocks, with two dense layers each")
    dropout: float = Field(0.0, ge=0, lt=1, description="dropout rate of each block's output")

    def module(self, name: str, inputs: tuple[tuple[str, int], ...], outputs: int) -> Build:
        shape = {"width": self.width, "blocks": self.blocks, "outputs": outputs}
        return build(name, bronet, inputs=inputs, **shape, dropout=self.dropout)
