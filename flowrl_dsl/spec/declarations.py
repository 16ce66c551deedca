"""Names declared by a spec: each is declared once, is not reserved by the language, and is used."""

from __future__ import annotations

from collections.abc import Mapping

from flowrl_dsl.diagnostics import Span
from flowrl_dsl.spec import stdlib
from flowrl_dsl.spec.check import Check
from flowrl_dsl.spec.merge import Statements
from flowrl_dsl.spec.parameters import check_name, read_parameter
from flowrl_dsl.spec.scope import SET_FILE
from flowrl_dsl.syntax import tree


def declare(check: Check) -> None:
    """Names first: lets and definitions as they stand, then parameters in order of declaration."""
    scope, statements = check.scope, check.statements
    library = stdlib.definitions()
    scope.library = stdlib.LIBRARY
    scope.lets = dict(statements.lets)
    scope.defines = {**library, **statements.defines}
    written: list[tree.Let | tree.Define] = [*statements.lets.values(), *statements.defines.values()]
    for node in written:
        check_name(node.name, scope)
    _check_repeats(check)
    for define in statements.defines.values():
        _check_define(check, define)
    for name, param in statements.params.items():
        scope.parameters[name] = read_parameter(param, scope)


def _check_repeats(check: Check) -> None:
    """Check that each name is declared only once, across all kinds of declarations."""
    tables = (("param", check.statements.params), ("let", check.statements.lets), ("def", check.statements.defines))
    seen: dict[str, tuple[str, Span]] = {}
    for kind, table in tables:
        for name, node in table.items():
            _check_repeat(check, kind, node.name, seen)
            seen.setdefault(name, (kind, node.name.span))
    for block in check.statements.sections.values():
        if block.given is not None:
            _check_repeat(check, "section", block.given, seen)
            seen.setdefault(block.given.id, ("section", block.given.span))
    for name, block in check.statements.phases.items():
        place = block.given or block.name
        _check_repeat(check, "phase", place, seen)
        seen.setdefault(name, ("phase", place.span))
    blocks = [*check.statements.sections.values(), *(term.block for term in check.statements.improvements)]
    for block in blocks:
        for let in block.lets.values():
            _check_repeat(check, "let", let.name, seen)
            check_name(let.name, check.scope)


def _check_repeat(check: Check, kind: str, name: tree.Name, seen: dict[str, tuple[str, Span]]) -> None:
    if name.id in seen:
        other, span = seen[name.id]
        check.error("FRL0206", f'{kind} "{name.id}" takes the name of a {other}', name.span, f"declared at {span}")


def _check_define(check: Check, define: tree.Define) -> None:
    """Check that every argument of a definition is used and that none is named twice."""
    names = _names(define.value)
    seen: set[str] = set()
    for parameter in define.parameters:
        if parameter.id in seen:
            check.error("FRL0206", f'argument "{parameter.id}" is given twice', parameter.span)
        elif parameter.id not in names:
            message = f'argument "{parameter.id}" of def "{define.name.id}" is never used'
            check.error("FRL0225", message, parameter.span)
        seen.add(parameter.id)


def drop_unused_inherited(check: Check) -> None:
    """Drop inherited parameters that are no longer used; a child spec has no other way to remove them."""
    scope = check.scope
    used = scope.used | (_mentioned(check.statements) if scope.diagnostics.errors else set())
    for name, parameter in list(scope.parameters.items()):
        assert parameter.span is not None
        if ("param", parameter.span) not in used and parameter.span.file not in (check.main, SET_FILE):
            del scope.parameters[name]
            scope.forget(name)


def report_unused(checked: Check, used: set[tuple[str, Span]]) -> None:
    """Report unused declarations of the spec itself or of ``--set``; those of a base may be unused."""
    statements = checked.statements
    blocks = [*statements.sections.values(), *(term.block for term in statements.improvements)]
    lets = [let for block in blocks for let in block.lets.values()]
    if checked.scope.diagnostics.errors:
        used = used | _mentioned(statements)
    declared: list[tuple[str, tree.Param | tree.Let | tree.Define]] = [
        *(("param", param) for param in statements.params.values()),
        *(("let", let) for let in (*statements.lets.values(), *lets)),
        *(("def", define) for define in statements.defines.values()),
    ]
    for kind, node in declared:
        if (kind, node.span) not in used and node.span.file in (checked.main, SET_FILE):
            message = f'{kind} "{node.name.id}" is never used'
            checked.scope.diagnostics.error("FRL0225", message, node.name.span, "use it or remove it")


def _mentioned(statements: Statements) -> set[tuple[str, Span]]:
    """Declarations whose names stand anywhere: after an error, not everything that would use them was checked."""
    blocks = [*statements.sections.values(), *(term.block for term in statements.improvements)]
    values = [assign.value for block in blocks for assign in block.options.values()]
    values += [let.value for table in (statements.lets, *(block.lets for block in blocks)) for let in table.values()]
    values += [param.value for param in statements.params.values()]
    values += [define.value for define in statements.defines.values()]
    values += [term.weight for term in statements.improvements if term.weight is not None]
    names = set().union(*map(_names, values))
    tables: list[tuple[str, Mapping[str, tree.Param | tree.Let | tree.Define]]]
    tables = [("param", statements.params), ("let", statements.lets), ("def", statements.defines)]
    tables += [("let", block.lets) for block in blocks]
    return {(kind, node.span) for kind, table in tables for name, node in table.items() if name in names}


def _names(expr: tree.Expr) -> set[str]:
    """All names in an expression, those of functions and axes included."""
    match expr:
        case tree.Name(name):
            return {name}
        case tree.Call(function, arguments):
            return {function.id}.union(*(_names(argument.value) for argument in arguments))
        case tree.List(items) | tree.Arrow(items):
            return set().union(*map(_names, items))
        case tree.Unary(operand):
            return _names(operand)
        case tree.Binary(_, left, right):
            return _names(left) | _names(right)
        case tree.From(value, source):
            return _names(value) | {source.id}
    return set()
