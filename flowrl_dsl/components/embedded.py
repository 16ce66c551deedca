"""Networks of inputs with embeddings: raw inputs pass a normalised layer before they are joined with their embeddings."""

from __future__ import annotations

from flowrl_dsl.components.context import Context
from flowrl_dsl.components.first_layer import normalized_layer
from flowrl_dsl.graph.expr import Build, build, kernel
from flowrl_dsl.lazy import jnp, nn


@kernel
def beside_embeddings(layer, net, raw):
    """net(x, z_1, z_2, ...), x = layer(raw inputs), z_i the embeddings; other inputs are passed on.

    ``raw``: pairs (name, size) of the inputs that have an embedding, and the number of components in front of it.
    """

    class BesideEmbeddings(nn.Module):
        layer: nn.Module
        net: nn.Module

        def parted(self, values):
            joint = [(name, size) for name, size in raw if name in values]
            z = {f"z_{name}": values[name][..., size:] for name, size in joint}
            others = {name: value for name, value in values.items() if name not in dict(joint)}
            return {name: values[name][..., :size] for name, size in joint}, z | others

        def project(self, values):
            given, rest = self.parted(values)
            return self.layer.project(given), self.net.project(rest)

        def __call__(self, values, projected=None):
            of_layer, of_net = (None, None) if projected is None else projected
            given, rest = self.parted(values)
            return self.net({"x": self.layer(given, of_layer), **rest}, of_net)

    return BesideEmbeddings(layer, net)


@kernel
def features_beside_embedding(layer, features, size):
    """features([x, z]), x = layer(s), for observations [s, z] of which s has ``size`` components."""

    class FeaturesBesideEmbedding(nn.Module):
        layer: nn.Module
        features: nn.Module

        def __call__(self, s):
            return self.features(jnp.concatenate([self.layer({"s": s[..., :size]}), s[..., size:]], axis=-1))

    return FeaturesBesideEmbedding(layer, features)


def network(ctx: Context, name: str, inputs: tuple[tuple[str, int], ...], outputs: int) -> Build:
    """The network of the section ``ctx.owner`` for inputs (name, size), which include their embeddings if there are any."""
    layer = _input_layer(ctx)
    if layer is None:
        return ctx.own.network.module(name, inputs, outputs)
    raw = dict(ctx.sizes.raw)
    parts = tuple((f"z_{key}", size - raw[key]) if key in raw else (key, size) for key, size in inputs)
    net = ctx.own.network.module(f"{name}_joined", (("x", ctx.encoder.input_width), *parts), outputs)
    return build(name, beside_embeddings, layer=layer, net=net, raw=ctx.sizes.raw)


def observation_network(ctx: Context, features: Build) -> Build:
    """A module of observations, applied behind the normalised layer if the encoder has one."""
    layer = _input_layer(ctx)
    if layer is None:
        return features
    ((_, size),) = ctx.sizes.raw
    return build(f"{features.name}_joined", features_beside_embedding, layer=layer, features=features, size=size)


def _input_layer(ctx: Context) -> Build | None:
    """The normalised layer of the section ``ctx.owner``, with parameters of its own; None if networks read raw inputs."""
    if ctx.encoder is None or ctx.encoder.input_width is None:
        return None
    return build(f"{ctx.owner}_input", normalized_layer, inputs=ctx.sizes.raw, width=ctx.encoder.input_width)
