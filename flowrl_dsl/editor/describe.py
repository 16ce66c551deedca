"""Components, options, functions and names in Markdown, from the registry and the texts that declare them."""

from __future__ import annotations

import inspect
import re
from collections.abc import Sequence

from flowrl_dsl.axes import show
from flowrl_dsl.editor.names import Declared
from flowrl_dsl.formula import PRIMITIVES, Function, Primitive
from flowrl_dsl.registry import Component, functions
from flowrl_dsl.spec.kinds import kinds
from flowrl_dsl.spec.reference import default_text, kind_text
from flowrl_dsl.spec.typecheck import GRADIENT
from flowrl_dsl.syntax import tree

LANGUAGE = "flowrl"
WORDS = {
    "algorithm": '`algorithm name "title" extends "base.flowrl" { ... }`: the algorithm of the file',
    "suite": '`suite name "title" { ... }`: runs of several specs on several tasks',
    "extends": '`extends "dpmd.flowrl"`: build on another spec, beside this one or shipped; what this one sets goes first',
    "param": "`param name = value in (0, 10]`: a number that `--set` changes, a schedule, or `learned(...)`",
    "let": "`let name = formula`: a formula with a name",
    "def": "`def name(x, y) = formula`: a function of formulas, expanded where it is called",
    "improve": "`improve weight * mechanism { ... }`: a term of the policy's loss",
    "for": '`for task "Hopper-v5", "dm_control/*" { ... }`: settings of some tasks',
    "task": '`for task "Hopper-v5", "dm_control/*" { ... }`: settings of some tasks',
    "in": "`in (0, 10]`: the values that a parameter may take",
    "from": "`64 from old_policy`, `Q(s, a) from critic_target`: the section, or its copy, whose parameters are read",
    "inf": "infinity, as a bound of a range or of a clip",
    "true": "the truth value",
    "false": "the truth value",
    "paper": '`paper = "arXiv:2312.11752"`: where the algorithm was published',
    "regime": "`regime = off_policy`: where transitions come from",
    "order": "`order = critic -> [policy, temperature] -> targets`: the stages of an update, in order",
    "targets": "the stage that moves the target copies of all sections",
    "every": "`every(2, policy -> targets)`: a stage in every second update",
    "after": "`after(1_000, policy)`: a stage from an update on",
    "until": "`until(1_000, policy)`: a stage before an update",
    "copy": "`copy(behavior_target, policy)`: a section gets the parameters of another one or of a copy",
    "reset": "`reset(optimizers)`, `reset(policy, critic)`: optimizers begin anew",
    "steps": "`steps = 250_000`: instead of updates, in the last phase of an offline algorithm: the phase acts",
    "updates": "`updates = 100_000`: the length of the phase; the last one may leave it out",
    "begin": "`begin = [copy(behavior, policy), reset(optimizers)]`: what happens where the phase begins",
    "phase": "`phase pretrain { updates = 100_000  order = critic }`: updates with an order of their own",
    "none": "the option is not used",
    "over": "the axes that a reduction removes, or along which a function works",
    "wrt": "the value with respect to which a gradient is taken",
}
"""The words of the language: their forms, and what they do."""


def code(text: str) -> str:
    return f"```{LANGUAGE}\n{text}\n```"


def component(cls: type[Component]) -> str:
    """Its options, documentation with the equation, paper and capabilities."""
    parts = [code(signature(cls)), prose(inspect.getdoc(cls) or "")]
    facts = [f"Paper: {cls.paper}."] if cls.paper else []
    for word, names in (("Provides", cls.provides), ("Requires", cls.requires)):
        facts += [f"{word} {', '.join(f'`{name}`' for name in sorted(names))}."] if names else []
    return "\n\n".join(filter(None, [*parts, " ".join(facts)]))


def signature(cls: type[Component]) -> str:
    """``ddpm(steps, clip)``; a section or mechanism with braces."""
    names = list(kinds(cls))
    if cls.family == "section":
        return f"{cls.name} {{ {'  '.join(names)} }}"
    if cls.family == "mechanism":
        return f"improve {cls.name} {{ {'  '.join(names)} }}"
    return f"{cls.name}({', '.join(names)})" if names else cls.name


def option(cls: type[Component], name: str) -> str:
    """What an option of a component takes, its default and its description."""
    info = cls.model_fields[name]
    return f"`{cls.name}.{name}`: {kind_text(info)}, default {default_text(info)}\n\n{info.description or ''}".strip()


def prose(text: str) -> str:
    """A docstring as Markdown: literals in single backquotes, indented lines as code."""
    plain = re.sub(r"``(.+?)``", r"`\1`", text)
    return re.sub(r":(?:class|func|meth|mod|data|attr):`~?([^`]+)`", r"`\1`", plain)


def function(name: str) -> str:
    """A function of formulas that the language has; empty for any other name."""
    if name == GRADIENT:
        text = "`grad(value, wrt = a)`: the gradient of the sum of a value with respect to one that the formula sees"
        return f"{text}; it has the axes of that value"
    if name in PRIMITIVES:
        return f"{code(call(PRIMITIVES[name]))}\n\n{PRIMITIVES[name].doc}"
    own = functions().get(name)
    return f"{code(call(own))}\n\n{own.doc}; needs `{own.needs}`\n\n{_result(own)}" if own is not None else ""


def call(function: Primitive | Function) -> str:
    """The form of a call."""
    return f"{function.name}({', '.join(parameters(function))})"


def parameters(function: Primitive | Function) -> list[str]:
    """The parameters of a function, by the axes that they must have or by letters."""
    if isinstance(function, Function):
        return [axis or "value" for axis in function.arguments]
    letters = [*"xyz"][: function.arity]
    if function.kind == "members":
        return [letters[0], "n"]
    return [*letters, *(["over = axis"] if function.kind in ("reduction", "along", "towards") else [])]


def _result(function: Function) -> str:
    less = f" without {', '.join(function.drops)}" if function.drops else ""
    more = f", with {', '.join(function.adds)}" if function.adds else ""
    return f"Axes: those of the arguments{less}{more}."


def declaration(one: Declared) -> str:
    """A declaration as it is written, with the comment above it."""
    notes = " ".join(comment.text.lstrip("# ") for comment in comments_above(one))
    return "\n\n".join(filter(None, [code(head(one)), notes]))


def head(one: Declared) -> str:
    """The text of a declaration; of a section or phase its header, of an argument its definition."""
    if one.kind in ("section", "phase"):
        return " ".join(str(token) for token in one.statement.tokens if token.type == "NAME")
    return one.text


def comments_above(one: Declared) -> Sequence[tree.Comment]:
    """The comments on the lines directly above a declaration."""
    found: list[tree.Comment] = []
    line = one.statement.tokens[0].line
    for comment in reversed(one.document.comments):
        if comment.span.line == line - 1 and not comment.trailing:
            found.insert(0, comment)
            line -= 1
    return found


def axes(found: Sequence[str]) -> str:
    return f"axes {show(found)}" if found else "a scalar"
