"""A policy as StableHLO, which ``jax.export.deserialize`` reads."""

from __future__ import annotations

import jax
from jax import export

from flowrl_dsl.export.acting import Acting

PLATFORMS = ("cpu", "cuda", "tpu")


def serialized(acting: Acting) -> bytes:
    """The function of observations [n, O] and the noise by name, with its weights as constants."""
    weights = list(acting.weights.values())
    _, obs, noise = acting.examples()

    def act(obs, noise):
        return acting(weights, obs, [noise[name] for name in acting.draws])

    shapes = dict(zip(acting.draws, noise, strict=True))
    return bytes(export.export(jax.jit(act), platforms=PLATFORMS)(obs, shapes).serialize())
