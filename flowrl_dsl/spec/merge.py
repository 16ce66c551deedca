"""Merging: statements grouped by kind and name, a child spec applied over its base, and task overrides over both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from flowrl_dsl.algorithm import POLICY
from flowrl_dsl.diagnostics import Diagnostics, Span
from flowrl_dsl.registry import find
from flowrl_dsl.syntax import tree

PHASE_OPTIONS = ("updates", "steps", "order", "begin")
"""What ``phase NAME { ... }`` can set."""


@dataclass
class Block:
    """The inside of a section or of an ``improve`` block.

    ``name`` is the kind of section or the mechanism, ``given`` the name that the spec gives a section of its own.
    An incomplete block is one with a syntax error inside, in this spec or a base: its options are unknown.
    """

    name: tree.Name
    options: dict[str, tree.Assign] = field(default_factory=dict)
    lets: dict[str, tree.Let] = field(default_factory=dict)
    given: tree.Name | None = None
    complete: bool = True

    def over(self, base: Block) -> Block:
        """This block's options and lets, and the base's where this one has neither them nor an alternative to them."""
        kept = {name: assign for name, assign in base.options.items() if name not in self._replaced()}
        options, lets = {**kept, **self.options}, {**base.lets, **self.lets}
        return replace(self, options=options, lets=lets, complete=self.complete and base.complete)

    def _replaced(self) -> frozenset[str]:
        cls = find("mechanism", self.name.id) or find("section", self.name.id)
        return frozenset() if cls is None else frozenset().union(*map(cls.replaced, self.options))

    def copy(self) -> Block:
        return replace(self, options=dict(self.options), lets=dict(self.lets))


@dataclass
class Term:
    """One ``improve`` block: a term of the loss of the section ``owner``."""

    weight: tree.Expr | None
    block: Block
    span: Span
    owner: str = POLICY

    @property
    def mechanism(self) -> str:
        return self.block.name.id


@dataclass
class Statements:
    """The statements of an algorithm, by kind and name; what was declared first comes first.

    They are incomplete where a syntax error may hide statements of any kind.
    """

    name: tree.Name
    title: str = ""
    settings: dict[str, tree.Assign] = field(default_factory=dict)
    params: dict[str, tree.Param] = field(default_factory=dict)
    lets: dict[str, tree.Let] = field(default_factory=dict)
    defines: dict[str, tree.Define] = field(default_factory=dict)
    sections: dict[str, Block] = field(default_factory=dict)
    phases: dict[str, Block] = field(default_factory=dict)
    improvements: list[Term] = field(default_factory=list)
    tasks: list[tree.ForTask] = field(default_factory=list)
    applied: list[tree.ForTask] = field(default_factory=list)
    complete: bool = True

    @property
    def whole(self) -> bool:
        """Whether every statement outside of ``for task`` blocks is known, so that something missing is an error."""
        blocks = (*self.sections.values(), *self.phases.values(), *(term.block for term in self.improvements))
        return self.complete and all(block.complete for block in blocks)

    def copy(self) -> Statements:
        """The same statements, in tables that can be edited without changing these."""
        return replace(
            self,
            settings=dict(self.settings),
            params=dict(self.params),
            lets=dict(self.lets),
            defines=dict(self.defines),
            sections={name: block.copy() for name, block in self.sections.items()},
            phases={name: block.copy() for name, block in self.phases.items()},
            improvements=[replace(term, block=term.block.copy()) for term in self.improvements],
            tasks=list(self.tasks),
            applied=list(self.applied),
        )

    def labels(self) -> list[str]:
        """The labels of the ``improve`` blocks: the mechanism, numbered from its second occurrence on.

        Those of a section with a name of its own have that in front: ``behavior_imitation``.
        """
        seen: dict[str, int] = {}
        labels = []
        for term in self.improvements:
            name = term.mechanism if term.owner == POLICY else f"{term.owner}_{term.mechanism}"
            count = seen[name] = seen.get(name, 0) + 1
            labels.append(name if count == 1 else f"{name}_{count}")
        return labels


def merge(chain: Sequence[tree.Algorithm], diagnostics: Diagnostics) -> Statements:
    """The first algorithm of the chain laid over those it extends; tasks are kept aside, the base's first."""
    read = [_Reader(diagnostics, algorithm.complete).statements(algorithm) for algorithm in chain]
    merged = read[-1]
    for child in reversed(read[:-1]):
        merged = _extend(merged, child)
    return merged


def apply_task(statements: Statements, block: tree.ForTask, diagnostics: Diagnostics) -> Statements:
    """The statements with one ``for task`` block laid over them.

    Its ``improve`` blocks change those of the same mechanism; unlike a child's they never replace the list.
    """
    over = _Reader(diagnostics).body(Statements(statements.name), block.body, 'a "for task" block')
    improvements = over.improvements
    over.improvements = []
    result = _extend(statements, over)
    result.applied = [*statements.applied, block]
    _improve_in_place(result, improvements, diagnostics)
    return result


def _improve_in_place(statements: Statements, changes: list[Term], diagnostics: Diagnostics) -> None:
    used: list[int] = []
    for change in changes:
        for position, term in enumerate(statements.improvements):
            if (term.owner, term.mechanism) == (change.owner, change.mechanism) and position not in used:
                used.append(position)
                weight = term.weight if change.weight is None else change.weight
                statements.improvements[position] = Term(weight, change.block.over(term.block), change.span, term.owner)
                break
        else:
            if not statements.whole:
                continue
            has = ", ".join(term.mechanism for term in statements.improvements) or "none"
            message = f"the algorithm has no `improve {change.mechanism}` for this task to change"
            diagnostics.error("FRL0204", message, change.block.name.span, f"its improve blocks: {has}")


def _extend(base: Statements, child: Statements) -> Statements:
    if not child.complete:
        return _over_unknown(base, child)
    params = {**base.params}
    for name, param in child.params.items():
        inherited = params[name].range if name in params else None
        params[name] = param if param.range is not None else replace(param, range=inherited)
    return Statements(
        name=child.name,
        title=child.title or base.title,
        settings={**base.settings, **child.settings},
        params=params,
        lets={**base.lets, **child.lets},
        defines={**base.defines, **child.defines},
        sections=_over(base.sections, child.sections),
        phases=_over(base.phases, child.phases),
        improvements=_improvements(base.improvements, child.improvements),
        tasks=[*base.tasks, *child.tasks],
        applied=base.applied,
        complete=base.complete and child.complete,
    )


def _over_unknown(base: Statements, child: Statements) -> Statements:
    """The certain part of an incomplete child over a base, any statement of which the child may override.

    The child's blocks stand alone, and the base's others are incomplete; nothing else of the base remains.
    """
    result = child.copy()
    inherited = {name: replace(block, complete=False) for name, block in base.sections.items()}
    result.sections = {**inherited, **child.sections}
    if not child.improvements:
        result.improvements = [replace(term, block=replace(term.block, complete=False)) for term in base.improvements]
    return result


def _over(base: dict[str, Block], child: dict[str, Block]) -> dict[str, Block]:
    """The blocks of both by name, those of the child laid over the base's; its new ones follow."""
    return {**base, **{name: block.over(base[name]) if name in base else block for name, block in child.items()}}


def _improvements(base: list[Term], child: list[Term]) -> list[Term]:
    """For each section the child's list where it has one; a block starts from the base's of the same mechanism and count."""
    replaced = {term.owner for term in child}
    waiting = [term for term in base if term.owner in replaced]
    result = [term for term in base if term.owner not in replaced]
    for term in child:
        same = next((b for b in waiting if (b.owner, b.mechanism) == (term.owner, term.mechanism)), None)
        if same is not None:
            waiting.remove(same)
            term = replace(term, block=term.block.over(same.block))
        result.append(term)
    return result


@dataclass
class _Reader:
    """Groups the statements of one body; reports misplaced and, in a ``complete`` text, duplicate statements."""

    diagnostics: Diagnostics
    complete: bool = True

    def statements(self, algorithm: tree.Algorithm) -> Statements:
        title = algorithm.title.value if algorithm.title else ""
        statements = Statements(algorithm.name, title, complete=algorithm.complete)
        return self.body(statements, algorithm.body, "an algorithm")

    def body(self, statements: Statements, body: Sequence[tree.Statement], where: str) -> Statements:
        for statement in body:
            match statement:
                case tree.Assign(key):
                    self._put(statements.settings, key, statement, "setting")
                case tree.Param(name):
                    self._put(statements.params, name, statement, "param")
                case tree.Let(name):
                    self._put(statements.lets, name, statement, "let")
                case tree.Define(name):
                    self._put(statements.defines, name, statement, "def")
                case tree.Section(tree.Name("phase"), given=given):
                    self._put(statements.phases, given or statement.name, self._section(statement, False), "phase")
                case tree.Section(name, given=given):
                    self._put(statements.sections, given or name, self._section(statement), "section")
                    statements.improvements += self._terms(statement, (given or name).id)
                case tree.Improve():
                    statements.improvements.append(self._term(statement, POLICY))
                case tree.ForTask() if where == "an algorithm":
                    statements.tasks.append(statement)
                case tree.ForTask():
                    self._misplaced(statement, where)
        return statements

    def _section(self, section: tree.Section, improves: bool = True) -> Block:
        if not section.complete:
            return Block(section.name, given=section.given, complete=False)
        return replace(self._block(section.name, section.body, improves), given=section.given)

    def _terms(self, section: tree.Section, owner: str) -> list[Term]:
        return [self._term(one, owner) for one in section.improvements] if section.complete else []

    def _term(self, one: tree.Improve, owner: str) -> Term:
        block = self._block(one.mechanism, one.body) if one.complete else Block(one.mechanism, complete=False)
        return Term(one.weight, block, one.span, owner)

    def _block(self, name: tree.Name, body: Sequence[tree.Statement], improves: bool = False) -> Block:
        """``improves``: ``improve`` blocks may stand inside."""
        block = Block(name)
        for statement in body:
            match statement:
                case tree.Assign(key):
                    self._put(block.options, key, statement, "option")
                case tree.Let(let):
                    self._put(block.lets, let, statement, "let")
                case tree.Improve() if improves:
                    continue
                case _:
                    self._misplaced(statement, f'the block "{name.id}"')
        return block

    def _put(self, table: dict[str, Any], name: tree.Name, statement: object, what: str) -> None:
        earlier = table.get(name.id)
        if earlier is None:
            table[name.id] = statement
            return
        if not self.complete:
            return
        first = earlier.name.span if isinstance(earlier, Block) else earlier.span
        message = f'{what} "{name.id}" is given twice'
        self.diagnostics.error("FRL0206", message, name.span, f"first given in line {first.line}")

    def _misplaced(self, statement: tree.Statement, where: str) -> None:
        what, place = _PLACES[type(statement)]
        self.diagnostics.error("FRL0205", f"{what} cannot stand inside {where}", statement.span, place)


_TOP = "write it at the top level of the algorithm"
_PLACES: dict[type, tuple[str, str]] = {
    tree.Param: ("a param", _TOP),
    tree.Define: ("a def", _TOP),
    tree.Section: ("a section", _TOP),
    tree.Improve: ("an improve block", _TOP),
    tree.ForTask: ('a "for task" block', _TOP),
}
