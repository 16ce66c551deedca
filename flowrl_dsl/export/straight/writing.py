"""Statements of a traced function: one line for each value that is used more than once, loops for scans."""

from __future__ import annotations

import inspect
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jax.extend import core

from flowrl_dsl.export.straight import helpers
from flowrl_dsl.export.straight.rules import RULES, literal

_WIDEST = 90
"""Characters of an expression that may be written into another one."""
_NEEDS = {"gather": ("places",), "scatter": ("places",)}
"""What a copied function calls."""


class Unwritten(Exception):
    """An operation without a NumPy text."""


class Writer:
    """Writes a traced function without calls of functions other than loops.

    Attributes:
        lines: the statements, the last one a ``return``.
        constants: arrays that occur in the function, by name.
    """

    def __init__(self, closed: core.ClosedJaxpr, arguments: Sequence[str], arrays: str):
        """``arguments`` are the texts of the inputs; constants are looked up in the dictionary named ``arrays``."""
        self.lines: list[str] = []
        self.constants: dict[str, np.ndarray] = {}
        self._arrays, self._text, self._count = arrays, dict[Any, str](), 0
        program = closed.jaxpr
        self._bind(program, closed.consts)
        self._text.update(zip(program.invars, arguments, strict=True))
        self._block(program, "")
        self.lines.append(f"return {', '.join(map(self._read, program.outvars))}")

    def used_helpers(self) -> list[str]:
        """The sources of the functions that the statements call."""
        text = "\n".join(self.lines)
        functions = {name: value for name, value in vars(helpers).items() if inspect.isfunction(value)}
        called = [name for name in functions if re.search(rf"(?<![\w.]){name}\(", text)]
        needed = {other for name in called for other in _NEEDS.get(name, ())} | set(called)
        return [inspect.getsource(value).rstrip() for name, value in functions.items() if name in needed]

    def _bind(self, program: core.Jaxpr, consts: Sequence[Any]) -> None:
        for variable, value in zip(program.constvars, consts, strict=True):
            array = np.asarray(value)
            self._text[variable] = literal(array) if array.ndim == 0 else self._constant(array)

    def _constant(self, array: np.ndarray) -> str:
        name = f"constant_{len(self.constants)}"
        self.constants[name] = array
        return f'{self._arrays}["{name}"]'

    def _read(self, atom: Any) -> str:
        if not isinstance(atom, core.Literal):
            return self._text[atom]
        aval: Any = atom.aval
        return literal(np.asarray(atom.val, aval.dtype))

    def _new(self) -> str:
        self._count += 1
        return f"x{self._count}"

    def _block(self, program: core.Jaxpr, indent: str) -> None:
        needed = _needed(program)
        uses = Counter(atom for equation in needed for atom in equation.invars if not isinstance(atom, core.Literal))
        uses.update({atom: 2 for atom in program.outvars if not isinstance(atom, core.Literal)})
        for equation in needed:
            if equation.primitive.name == "scan":
                self._scan(equation, indent)
            else:
                self._assign(equation, uses, indent)

    def _assign(self, equation: core.JaxprEqn, uses: Mapping[Any, int], indent: str) -> None:
        rule = RULES.get(equation.primitive.name)
        text = None if rule is None else rule(equation, *map(self._read, equation.invars))
        if text is None:
            raise Unwritten(equation.primitive.name)
        if len(equation.outvars) > 1:
            names = [self._new() for _ in equation.outvars]
            self.lines.append(f"{indent}{', '.join(names)} = {text}")
            self._text.update(zip(equation.outvars, names, strict=True))
            return
        (variable,) = equation.outvars
        if uses[variable] == 1 and len(text) <= _WIDEST:
            self._text[variable] = text
            return
        self._text[variable] = self._new()
        self.lines.append(f"{indent}{self._text[variable]} = {text}")

    def _scan(self, equation: core.JaxprEqn, indent: str) -> None:
        """``for i in range(K): ...``, with the carried values reassigned and the others collected."""
        p, program = equation.params, equation.params["jaxpr"].jaxpr
        first, after, carried = p["num_consts"], p["num_consts"] + p["num_carry"], p["num_carry"]
        inputs = list(map(self._read, equation.invars))
        names = [self._new() for _ in equation.outvars]
        place = self._new().replace("x", "i")
        self._bind(program, p["jaxpr"].consts)
        self._text.update(zip(program.invars, self._named(inputs[:first], indent), strict=False))
        self._text.update(zip(program.invars[first:after], names, strict=False))
        along = self._named(inputs[after:], indent)
        self._text.update({v: f"{x}[{place}]" for v, x in zip(program.invars[after:], along, strict=True)})
        self._assign_all(names[:carried], inputs[first:after], indent)
        self._assign_all(names[carried:], ["[]" for _ in names[carried:]], indent)
        order = f"range({p['length']})"
        self.lines.append(f"{indent}for {place} in {f'reversed({order})' if p['reverse'] else order}:")
        self._block(program, f"{indent}    ")
        results = list(map(self._read, program.outvars))
        for name, result in zip(names[carried:], results[carried:], strict=True):
            self.lines.append(f"{indent}    {name}.append({result})")
        self._assign_all(names[:carried], results[:carried], f"{indent}    ")
        for name in names[carried:]:
            self.lines.append(f"{indent}{name} = np.stack({f'{name}[::-1]' if p['reverse'] else name})")
        self._text.update(zip(equation.outvars, names, strict=True))

    def _named(self, texts: Sequence[str], indent: str) -> list[str]:
        """Names of values that a loop reads in every step, computed before it."""
        found = []
        for text in texts:
            if not text.isidentifier() and not text.startswith((f"{self._arrays}[", "np.float32(", "np.int32(")):
                name = self._new()
                self.lines.append(f"{indent}{name} = {text}")
                text = name
            found.append(text)
        return found

    def _assign_all(self, names: Sequence[str], texts: Sequence[str], indent: str) -> None:
        """One assignment of all: a value may be computed from the old ones of others."""
        if names:
            self.lines.append(f"{indent}{', '.join(names)} = {', '.join(texts)}")


def _needed(program: core.Jaxpr) -> list[core.JaxprEqn]:
    """The equations that an output depends on."""
    read = {atom for atom in program.outvars if not isinstance(atom, core.Literal)}
    kept = []
    for equation in reversed(program.eqns):
        if any(variable in read for variable in equation.outvars):
            kept.append(equation)
            read.update(atom for atom in equation.invars if not isinstance(atom, core.Literal))
    return kept[::-1]
