"""A policy as one Python file that needs NumPy alone."""

from __future__ import annotations

import base64
import textwrap
from collections.abc import Mapping

import jax
import numpy as np

from flowrl_dsl.export import calling
from flowrl_dsl.export.acting import Acting, not_convertible
from flowrl_dsl.export.straight.rules import shape_text
from flowrl_dsl.export.straight.writing import Unwritten, Writer

_INDENT = "    "
_HEAD = '''"""{title}

{description}
This file needs NumPy alone.  It was written by flowrl-dsl {version}.
"""

from base64 import b64decode

import numpy as np

{functions}

@np.errstate(all="ignore")
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
        description=calling.description(acting),
        functions=calling.functions(acting, "np"),
        arguments=", ".join(["obs", *acting.draws]),
        body=textwrap.indent("\n".join(writer.lines), _INDENT),
        helpers=f"{helpers}\n" if helpers else "",
        weights=_weights(acting.weights | writer.constants),
    )


def _weights(weights: Mapping[str, np.ndarray]) -> str:
    lines = []
    for name, array in weights.items():
        # bytes in the order of this machine would be numbers of another one elsewhere
        little = array.astype(array.dtype.newbyteorder("<"))
        text = base64.b64encode(little.tobytes()).decode()
        quoted = "".join(f'\n        "{line}",' for line in textwrap.wrap(text, 100))
        lines.append(f'    "{name}": _array("{little.dtype.str}", {shape_text(array.shape)},{quoted}\n    ),')
    return "\n".join(lines)
