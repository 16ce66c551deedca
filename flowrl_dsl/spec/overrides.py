"""``--set path=value``: edits of the merged statements, with source spans for error messages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any

from flowrl_dsl.algorithm import FACTOR
from flowrl_dsl.diagnostics import Diagnostics, Span, did_you_mean, nearest
from flowrl_dsl.registry import Component, find, members_of
from flowrl_dsl.spec.kinds import Kind, kinds
from flowrl_dsl.spec.merge import PHASE_OPTIONS, Block, Statements
from flowrl_dsl.spec.options import as_call, bind, default_expression
from flowrl_dsl.spec.scope import SET_FILE
from flowrl_dsl.spec.text import text_of
from flowrl_dsl.syntax import tree
from flowrl_dsl.syntax.parser import parse_expression

SETTINGS = ("order", "paper", "regime")


@dataclass(frozen=True)
class Override:
    """One ``--set``: the names of its path, each with its place, and the value."""

    path: tuple[tree.Name, ...]
    value: tree.Expr
    span: Span

    @property
    def dotted(self) -> str:
        return ".".join(name.id for name in self.path)

    @property
    def text(self) -> str:
        """The argument of ``--set``."""
        return f"{self.dotted}={text_of(self.value)}"


class _NoSuchPath(Exception):
    """The name at ``position`` of the path does not exist; ``candidates`` do."""

    def __init__(self, position: int, candidates: Sequence[str], note: str = ""):
        self.position, self.candidates, self.note = position, candidates, note


def read_sets(sets: Sequence[str], diagnostics: Diagnostics, sources: dict[str, str]) -> list[Override]:
    """The overrides of ``--set``, which become the lines of a source of that name; invalid ones are reported."""
    lines = [" ".join(text.splitlines()) for text in sets]
    if lines:
        sources[SET_FILE] = "\n".join(lines)
    found = (_read(line, number, diagnostics) for number, line in enumerate(lines, start=1))
    return [override for override in found if override is not None]


def apply(statements: Statements, overrides: Sequence[Override], diagnostics: Diagnostics) -> Statements:
    """The statements with the overrides applied in order; those of unknown paths are reported and ignored."""
    statements = statements.copy()
    for override in overrides:
        try:
            _Editor(statements).apply(override)
        except _NoSuchPath as problem:
            _report(override, problem, diagnostics)
    return statements


def _report(override: Override, problem: _NoSuchPath, diagnostics: Diagnostics) -> None:
    name = override.path[problem.position]
    before = [n.id for n in override.path[: problem.position]]
    close = nearest(name.id, problem.candidates)
    hint = did_you_mean(name.id, problem.candidates)
    if close is not None:
        rest = [n.id for n in override.path[problem.position + 1 :]]
        hint = f'did you mean "{".".join([*before, close, *rest])}"?'
    diagnostics.error("FRL0261", f'unknown path "{override.dotted}"', name.span, problem.note or hint)


def _read(line: str, number: int, diagnostics: Diagnostics) -> Override | None:
    path, equals, value = line.partition("=")
    names = path.split(".")
    span = Span(SET_FILE, number, 1, number, len(line) + 1)
    if not equals or not all(name.strip().isidentifier() for name in names) or not value.strip():
        message = f'"{line}" does not have the form path=value'
        diagnostics.error("FRL0260", message, span, "for instance temperature=0.05 or policy.sampler.steps=5")
        return None
    padding = "\n" * (number - 1) + " " * (len(path) + 1)
    expr, found = parse_expression(padding + value, SET_FILE)
    diagnostics.extend(found)
    if expr is None:
        return None
    return Override(tuple(_names(names, number)), expr, span)


def _names(names: list[str], number: int) -> list[tree.Name]:
    """The names of a path with their spans."""
    column, found = 1, []
    for name in names:
        start = column + len(name) - len(name.lstrip())
        found.append(tree.Name(name.strip(), Span(SET_FILE, number, start, number, start + len(name.strip()))))
        column += len(name) + 1
    return found


@dataclass
class _Editor:
    """Applies one override to statements, which it changes."""

    statements: Statements

    def apply(self, override: Override) -> None:
        head = override.path[0].id
        labels = self.statements.labels()
        if head in SETTINGS and len(override.path) == 1:
            self.statements.settings[head] = _assign(override.path[0], override)
        elif head in self.statements.params:
            self._param(override)
        elif head in self.statements.phases:
            self._phase(override)
        elif head in self.statements.sections:
            block = self.statements.sections[head]
            self._option(block, find("section", block.name.id), override)
        elif find("section", head) is not None:
            block = self.statements.sections.setdefault(head, Block(override.path[0]))
            self._option(block, find("section", head), override)
        elif head in labels:
            self._improvement(labels.index(head), override)
        else:
            declared = (*self.statements.params, *self.statements.phases, *self.statements.sections)
            names = [*SETTINGS, *declared, *members_of("section"), *labels]
            raise _NoSuchPath(0, names)

    def _param(self, override: Override) -> None:
        """Set the value of a parameter, or an option of its schedule or adaptation."""
        param = self.statements.params[override.path[0].id]
        value, name = override.value, override.path[0]
        if len(override.path) > 1:
            call, name = as_call(param.value), param.name
            kind = call.function.id if call is not None else ""
            cls = find("schedule", kind) or find("adaptation", kind)
            if call is None or cls is None:
                raise _NoSuchPath(1, (), f"param {param.name.id} has no options")
            value = _edited(cls, call, override, 1)
        span = override.span if name is override.path[0] else param.span
        self.statements.params[name.id] = tree.Param(name, value, param.range, span)

    def _phase(self, override: Override) -> None:
        """Set an option of a phase."""
        name, *options = override.path
        if not options:
            raise _NoSuchPath(0, (), f"{name.id} is a phase; its options are {', '.join(PHASE_OPTIONS)}")
        if len(options) > 1 or options[0].id not in PHASE_OPTIONS:
            raise _NoSuchPath(len(options), PHASE_OPTIONS)
        self.statements.phases[name.id].options[options[0].id] = _assign(options[0], override)

    def _improvement(self, position: int, override: Override) -> None:
        """Set a mechanism's option; the label alone, or ``factor``, sets the number in front of the block."""
        term = self.statements.improvements[position]
        cls = find("mechanism", term.mechanism)
        if cls is None:
            return
        rest = [name.id for name in override.path[1:]]
        if not rest or rest == [FACTOR]:
            self.statements.improvements[position] = replace(term, weight=override.value)
            return
        self._option(term.block, cls, override, (FACTOR,))

    def _option(self, block: Block, cls: type[Component] | None, override: Override, extra: Sequence[str] = ()) -> None:
        assert cls is not None
        if len(override.path) == 1:
            raise _NoSuchPath(0, (), f"{override.dotted} is a section; its options are {', '.join(cls.model_fields)}")
        key = override.path[1]
        kind = kinds(cls).get(key.id)
        if kind is None:
            raise _NoSuchPath(1, [*cls.model_fields, *extra])
        value = override.value
        if len(override.path) > 2:
            current = block.options[key.id].value if key.id in block.options else None
            value = _inside(kind, current, override, 2)
        for other in cls.replaced(key.id):
            block.options.pop(other, None)
        block.options[key.id] = _assign(key, override, value)


def _assign(key: tree.Name, override: Override, value: tree.Expr | None = None) -> tree.Assign:
    return tree.Assign(key, override.value if value is None else value, override.span)


def _inside(kind: Kind, current: tree.Expr | None, override: Override, position: int) -> tree.Expr:
    """The value of an option with the part at the path replaced."""
    if position == len(override.path):
        return override.value
    if current is None and kind.default is not None:
        current = respan(default_expression(kind.default), override.span)
    if isinstance(current, tree.From) and override.path[position].id == "source":
        return _with_source(current, override, position)
    if isinstance(current, tree.From):
        return tree.From(_inside(kind, current.value, override, position), current.source, current.span)
    call = None if current is None else as_call(current)
    cls = None if call is None else _class(kind, call)
    if call is None or cls is None:
        above = ".".join(name.id for name in override.path[:position])
        value = "not set" if current is None else f"`{text_of(current)}`"
        raise _NoSuchPath(position, (), f"{above} is {value}, which has no options")
    return _edited(cls, call, override, position)


def respan(node: Any, span: Span) -> Any:
    """The syntax with every span replaced, since the text of a default is not in any user file."""
    if isinstance(node, tuple):
        return tuple(respan(item, span) for item in node)
    if not is_dataclass(node) or isinstance(node, type):
        return node
    parts = {f.name: respan(getattr(node, f.name), span) for f in fields(node) if f.name != "span"}
    return replace(node, **parts, span=span)


def _with_source(current: tree.From, override: Override, position: int) -> tree.Expr:
    if position + 1 < len(override.path) or not isinstance(override.value, tree.Name):
        raise _NoSuchPath(position, (), "the source is a name, such as policy or policy_target")
    return tree.From(current.value, override.value, override.span)


def _class(kind: Kind, call: tree.Call) -> type[Component] | None:
    """The component of a call, in an option of this kind."""
    if kind.role == "scalar":
        return find("schedule", call.function.id)
    if kind.role == "component" or kind.draws_component:
        return find(kind.family, call.function.id)
    return None


def _edited(cls: type[Component], call: tree.Call, override: Override, position: int) -> tree.Call:
    """The call with one option, or a part of it, replaced; its arguments become named."""
    arguments = bind(cls, call, _quiet)
    key = override.path[position]
    kind = kinds(cls).get(key.id)
    if kind is None:
        raise _NoSuchPath(position, list(cls.model_fields))
    arguments[key.id] = _inside(kind, arguments.get(key.id), override, position + 1)
    arguments = {name: value for name, value in arguments.items() if name not in cls.replaced(key.id)}
    named = tuple(tree.Argument(tree.Name(name, value.span), value, value.span) for name, value in arguments.items())
    return tree.Call(call.function, named, call.span)


def _quiet(*_: object) -> None:
    """Errors of the call itself are reported when it is built."""
