"""A policy as StableHLO, with a file of Python that runs it and needs jax alone.

``jax.export.deserialize`` would need flatbuffers besides.  The file makes the signature of the function by ``jax.export``,
from shapes, and takes its module from the StableHLO, a portable artifact in which the number of observations is open.
"""

from __future__ import annotations

from dataclasses import dataclass

import jax
from jax import export

from flowrl_dsl.export import calling
from flowrl_dsl.export.acting import ROWS, Acting
from flowrl_dsl.export.straight.rules import shape_text

PLATFORMS = ("cpu", "cuda", "tpu")
_LOADER = '''"""{title}

{description}
The function is policy.stablehlo beside this file, and has no gradient.  This file needs jax alone.
It was written by flowrl-dsl {version}.
"""

import dataclasses
from pathlib import Path

import jax
import jax.export
import jax.numpy as jnp
import numpy as np

{functions}

def _act(obs, **noise):
    return _POLICY(obs, noise)


@jax.custom_vjp
def _signature(obs, noise):
    return jnp.zeros((obs.shape[0], {actions}), np.float32)


def _refuse(*arguments):
    raise NotImplementedError("the exported policy has no gradient")


_signature.defvjp(_refuse, _refuse)


def _read():
    """The function of policy.stablehlo, with the shapes that it was exported for."""
    (n,) = jax.export.symbolic_shape("{rows}")
    shapes = {{"obs": (n, OBSERVATION_SIZE), {shapes}}}
    noise = {{name: jax.ShapeDtypeStruct(shape, np.float32) for name, shape in shapes.items()}}
    obs = noise.pop("obs")
    signature = jax.export.export(jax.jit(_signature, keep_unused=True), platforms={platforms})(obs, noise)
    module = Path(__file__).with_name("policy.stablehlo").read_bytes()
    return dataclasses.replace(signature, mlir_module_serialized=module, calling_convention_version={convention})


_POLICY = jax.jit(_read().call)
'''


@dataclass(frozen=True)
class Written:
    """``module``, the StableHLO, and ``loader``, the text of the Python file that runs it."""

    module: bytes
    loader: str


def written(acting: Acting, title: str, version: str) -> Written:
    """The function of observations [n, O] and the noise by name, with its weights as constants."""
    weights = list(acting.weights.values())
    _, obs, noise = acting.examples()

    def act(obs, noise):
        return acting(weights, obs, [noise[name] for name in acting.draws])

    # the loader's signature has every argument, so the module must have those too that it does not read
    shapes = dict(zip(acting.draws, noise, strict=True))
    exported = export.export(jax.jit(act, keep_unused=True), platforms=PLATFORMS)(obs, shapes)
    loader = _LOADER.format(
        title=title,
        description=calling.description(acting),
        version=version,
        functions=calling.functions(acting, "jnp"),
        rows=ROWS,
        shapes=", ".join(f'"{name}": {shape_text(draw.shape)}' for name, draw in acting.draws.items()),
        actions=", ".join(map(str, acting.action_shape)),
        platforms=PLATFORMS,
        convention=exported.calling_convention_version,
    )
    return Written(exported.mlir_module_serialized, loader)
