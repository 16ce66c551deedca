"""A policy as ONNX, converted by jax2onnx and tried with onnxruntime."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np

from flowrl_dsl.export.acting import Acting, not_convertible
from flowrl_dsl.export.lifting import Loop, unrolled
from flowrl_dsl.runtime.errors import RunError

_TRIED, _TOLERANCE = 3, 1e-3
"""Observations of the trial, and the difference of actions above which the conversion is wrong: not rounding."""


def converted(acting: Acting) -> bytes:
    """The model of observations [n, O] and the noise by name.

    jax2onnx mistakes the number of critics for that of observations in loops that follow the gradient of an ensemble: such
    loops become the sequence of their steps.  Raises FRL0490 where jax2onnx lacks an operation, or gives a model that
    onnxruntime cannot run or that acts otherwise.
    """
    try:
        return _tried(acting, jax.lax.scan)
    except RunError:
        return _tried(acting, unrolled)


def _tried(acting: Acting, loop: Loop) -> bytes:
    """The model with these loops, after a trial."""
    try:
        found = _model(acting, loop)
        difference = _difference(acting, found)
    except Exception as error:  # of many kinds, those of both libraries undocumented
        reason, _, _ = str(error).partition("\n")
        raise not_convertible(acting, f"{type(error).__name__}: {reason}") from error
    if not difference < _TOLERANCE:
        raise not_convertible(acting, f"the ONNX model differs by {difference:.1e} from the policy")
    return found


def _model(acting: Acting, loop: Loop) -> bytes:
    from jax2onnx import to_onnx

    weights = list(acting.weights.values())
    _, obs, noise = acting.examples()

    def act(obs, *noise):
        return acting(weights, obs, noise, loop)

    names = ["obs", *acting.draws]
    model = to_onnx(act, [obs, *noise], model_name=acting.name, input_names=names, output_names=["action"])
    found: bytes = model.SerializeToString()
    return found


def _difference(acting: Acting, model: bytes) -> float:
    """The largest difference between actions by onnxruntime and by jax."""
    import onnxruntime

    inputs = acting.random_inputs(_TRIED)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # its warnings are about names inside of the model
    (found,) = onnxruntime.InferenceSession(model, options).run(None, inputs)
    expected: Any = acting(list(acting.weights.values()), inputs["obs"], [inputs[name] for name in acting.draws])
    return float(np.max(np.abs(found - np.asarray(expected))))
