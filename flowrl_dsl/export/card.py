"""The model card of an exported policy: what it is, how it was made, and how it is called."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from flowrl_dsl.export.acting import ROWS, Acting
from flowrl_dsl.export.straight.rules import shape_text


@dataclass(frozen=True)
class Origin:
    """The run of a policy.

    Attributes:
        title, paper: of the algorithm.
        task, seed, step: of the run; the step is that of the checkpoint.
        record: the newest evaluation up to the step, None without one.
        versions: of the packages that trained it.
        command: the words of the training command.
        spec: the resolved spec.
        low, high: bounds of the actions [A].
    """

    title: str
    paper: str
    task: str
    seed: int
    step: int
    record: Mapping[str, Any] | None
    versions: Mapping[str, str]
    command: Sequence[str]
    spec: str
    low: Sequence[float]
    high: Sequence[float]


_PYTHON = """\
import policy  # {needs}

action = policy.act(obs)  # obs [{{o}}] or [n, {{o}}]
noise = policy.draw(len(obs))  # by name, to repeat an action: policy.act(obs, noise)"""
USE = {
    "numpy": _PYTHON.format(needs="policy.py needs NumPy alone"),
    "stablehlo": _PYTHON.format(needs="policy.py reads policy.stablehlo beside it and needs jax alone"),
    "onnx": """\
import onnxruntime

policy = onnxruntime.InferenceSession("policy.onnx")
(action,) = policy.run(None, {{"obs": obs, **noise}})  # obs float32 [n, {o}], noise as below""",
}
"""How each format is called."""

_CARD = """\
# {title}

A policy of the algorithm `{name}`{paper} for the task `{task}`, exported by flowrl-dsl.

| | |
|---|---|
{facts}

## Use

```python
{use}
```

| array | shape | contents |
|---|---|---|
{arrays}

The function contains the normaliser of observations, the sampler, the choice of the action (mode `{mode}` of the spec) and
the bounds of the actions; equal observations and noise give equal actions. `policy.safetensors` contains its weights.

## Origin

```
{command}
```

Trained with {versions}. The spec:

```
{spec}
```
"""


def card(acting: Acting, origin: Origin, form: str) -> str:
    """The card in Markdown."""
    facts = {
        "task": origin.task,
        "training step": f"{origin.step:_}",
        "seed": origin.seed,
        "return": returned(origin.record),
        "parameters": f"{sum(array.size for array in acting.weights.values()):_}",
    }
    return _CARD.format(
        title=origin.title,
        name=acting.name,
        paper=f" ({origin.paper})" if origin.paper else "",
        task=origin.task,
        facts="\n".join(f"| {name} | {value} |" for name, value in facts.items()),
        use=USE[form].format(o=acting.observation_size),
        arrays="\n".join(_arrays(acting, origin)),
        mode=acting.mode,
        command=" ".join(origin.command),
        versions=", ".join(f"{name} {version}" for name, version in origin.versions.items()),
        spec=origin.spec.rstrip(),
    )


def returned(record: Mapping[str, Any] | None) -> str:
    """The return of an evaluation with its deviation and number of episodes."""
    if record is None:
        return "not evaluated"
    found = f"{record['return_mean']:.1f} ± {record['return_std']:.1f} over {record['episodes']} episodes"
    return f"{found} at step {record['step']:_}"


def _arrays(acting: Acting, origin: Origin) -> list[str]:
    bounds = f"from {np.asarray(origin.low).tolist()} to {np.asarray(origin.high).tolist()}"
    read = f": {' and '.join(f'`{name}`' for name in acting.entries)}" if acting.entries else ""
    rows = [f"| `obs` | `(n, {acting.observation_size})` | observations{read} |"]
    contents = {"normal": "standard normal numbers", "uniform": "uniform numbers in [0, 1)"}
    rows += [f"| `{name}` | `{shape_text(draw.shape)}` | {contents[draw.kind]} |" for name, draw in acting.draws.items()]
    after = " in the order of time" if len(acting.action_shape) > 1 else ""
    return [*rows, f"| result | `{shape_text((ROWS, *acting.action_shape))}` | actions{after} {bounds} |"]
