"""A policy as one Python file that needs NumPy alone."""

from __future__ import annotations

import base64
import textwrap
from collections.abc import Mapping

import jax
import numpy as np

from flowrl_dsl.export.acting import Acting, not_convertible
from flowrl_dsl.export.straight.rules import shape_text
from flowrl_dsl.export.straight.writing import Unwritten, Writer

_INDENT = "    "
_HEAD = '''"""{title}

``act(obs)`` returns actions {one} for one observation [O], or {several} for [n, O], within the bounds of the task.
This file needs NumPy alone.  It was written by flowrl-dsl {version}.
"""

from base64 import b64decode

import numpy as np

OBSERVATION_SIZE, ACTION_SIZE = {observation_size}, {action_size}


def act(obs, noise=None, generator=None):
    """Actions for observations; ``noise`` is that of :func:`draw`, by default drawn with ``generator``."""
    obs = np.asarray(obs, np.float32)
    rows = np.atleast_2d(obs)
    if obs.ndim not in (1, 2) or rows.shape[1] != OBSERVATION_SIZE:
        raise ValueError(f"expected observations [..., {{OBSERVATION_SIZE}}], one or several, found shape {{obs.shape}}")
    noise = draw(len(rows), generator) if noise is None else noise
    with np.errstate(all="ignore"):
        actions = _act(rows, **noise).astype(np.float32)
    return actions[0] if obs.ndim == 1 else actions


def draw(n, generator=None):
    """The random numbers of n actions by name: standard normal, or uniform in [0, 1)."""
    generator = np.random.default_rng() if generator is None else generator
    return {{{draws}}}


def _act({arguments}):
    n = len(obs)
{body}

{helpers}
def _array(dtype, shape, *lines):
    return np.frombuffer(b64decode("".join(lines)), dtype).reshape(shape)


WEIGHTS = {{
{weights}
}}
'''


def written(acting: Acting, title: str, version: str) -> str:
    """The text of the file; raises FRL0490 for an operation without a NumPy form."""
    closed = jax.make_jaxpr(acting)(*acting.examples())
    names = [f'WEIGHTS["{name}"]' for name in acting.weights]
    try:
        writer = Writer(closed, [*names, "obs", *acting.draws], "WEIGHTS")
    except Unwritten as error:
        raise not_convertible(acting, f"NumPy has no form of the operation {error}") from error
    helpers = "".join(f"\n{source}\n\n" for source in writer.used_helpers())
    return _HEAD.format(
        title=title,
        version=version,
        observation_size=acting.observation_size,
        action_size=acting.action_shape[-1],
        one="[A]" if len(acting.action_shape) == 1 else "[h, A], to be taken one after another,",
        several="[n, A]" if len(acting.action_shape) == 1 else "[n, h, A]",
        draws=", ".join(f'"{name}": {_drawn(draw.kind, draw.shape)}' for name, draw in acting.draws.items()),
        arguments=", ".join(["obs", *acting.draws]),
        body=textwrap.indent("\n".join(writer.lines), _INDENT),
        helpers=f"{helpers}\n" if helpers else "",
        weights=_weights(acting.weights | writer.constants),
    )


def _drawn(kind: str, shape: tuple) -> str:
    function = "standard_normal" if kind == "normal" else "random"
    return f"generator.{function}({shape_text(shape)}, np.float32)"


def _weights(weights: Mapping[str, np.ndarray]) -> str:
    lines = []
    for name, array in weights.items():
        # bytes in the order of this machine would be numbers of another one elsewhere
        little = array.astype(array.dtype.newbyteorder("<"))
        text = base64.b64encode(little.tobytes()).decode()
        quoted = "".join(f'\n        "{line}",' for line in textwrap.wrap(text, 100))
        lines.append(f'    "{name}": _array("{little.dtype.str}", {shape_text(array.shape)},{quoted}\n    ),')
    return "\n".join(lines)
