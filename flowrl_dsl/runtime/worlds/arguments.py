"""Constructor arguments of a task, written behind its name: ``Hopper-v5(frame_skip=2)``.

They are part of the name, so that whatever records, compares or makes a task includes them.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from flowrl_dsl.diagnostics import did_you_mean
from flowrl_dsl.runtime.errors import RunError

Arguments = Mapping[str, Any]
_LONGEST = 32
_WORDS = {"true": True, "false": False, "none": None}


def named(task: str, given: Iterable[str]) -> str:
    """The task with these arguments, ``NAME=VALUE`` each, in the order of their names; the last of a name holds.

    A value is a number, ``true``, ``false``, ``none`` or a list; anything else is text.
    """
    name, arguments = split(task)
    return written(name, dict(arguments) | dict(map(_read, given)))


def written(name: str, arguments: Arguments) -> str:
    """The name of a task and its arguments as one, in the order of their names: the inverse of :func:`split`."""
    inside = ",".join(f"{key}={value!r}" for key, value in sorted(arguments.items()))
    return f"{name}({inside})" if inside else name


def _read(text: str) -> tuple[str, Any]:
    name, _, value = (part.strip() for part in text.partition("="))
    if not name.isidentifier():
        raise RunError("FRL0408", f'"{name}" is not the name of an argument', "for instance --env frame_skip=2")
    if value.lower() in _WORDS:
        return name, _WORDS[value.lower()]
    try:
        return name, ast.literal_eval(value)
    except (ValueError, SyntaxError):
        return name, value


def split(task: str) -> tuple[str, Arguments]:
    """The name of the task, and its arguments.  Raises FRL0408 for text behind the name that is no list of arguments."""
    name, bracket, rest = task.partition("(")
    if not bracket:
        return task, {}
    try:
        call = ast.parse(f"task({rest}", mode="eval").body
        if not isinstance(call, ast.Call) or call.args:
            raise ValueError("not a call with named arguments")
        return name, {str(keyword.arg): ast.literal_eval(keyword.value) for keyword in call.keywords}
    except (ValueError, SyntaxError) as error:
        hint = f"write {name}(frame_skip=2), or --task {name} --env frame_skip=2"
        raise RunError("FRL0408", f'"{task}" is not a task with arguments', hint) from error


def refused(task: str, arguments: Arguments, accepted: Mapping[str, str], error: Exception) -> RunError:
    """FRL0408 for arguments with which a task cannot be made; ``accepted`` as of :func:`accepted_by`."""
    unknown = [name for name in arguments if name not in accepted]
    takes = ", ".join(f"{name}{default}" for name, default in accepted.items()) or "no arguments"
    if unknown:
        message = f'{task} has no argument "{unknown[0]}"'
        return RunError("FRL0408", message, did_you_mean(unknown[0], accepted) if accepted else "", f"it accepts {takes}")
    given = ", ".join(f"{name}={value!r}" for name, value in arguments.items())
    return RunError("FRL0408", f"{task} cannot be made with {given}: {type(error).__name__}: {error}", f"it accepts {takes}")


def accepted_by(makers: Iterable[Callable[..., Any]], apart_from: Iterable[str] = ()) -> dict[str, str]:
    """The names that these functions accept, the first function's first, each with ``=`` and its default if that is short.

    Arguments without a default are asked for by the first function alone: it gives the others theirs.
    """
    found: dict[str, str] = {}
    for position, maker in enumerate(makers):
        for name, parameter in inspect.signature(maker).parameters.items():
            named = parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY) and name not in apart_from
            needed = parameter.default is parameter.empty
            text = "" if needed else f"={parameter.default!r}"
            if named and not (needed and position):
                found.setdefault(name, text if len(text) <= _LONGEST else "")
    return found
