"""The settings of a suite: nested blocks are paths, as ``--set`` writes them with points between the names."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from flowrl_dsl.diagnostics import Diagnostics, Span
from flowrl_dsl.registry import find
from flowrl_dsl.spec.overrides import SETTINGS, Override
from flowrl_dsl.spec.suites.suite import PHASE_LENGTHS, Layer
from flowrl_dsl.syntax import tree

Patterns = list[tree.ForTask]
"""The ``for task`` blocks of a suite, each of which has to hold on a task."""


@dataclass
class SettingsReader:
    """``policy { sampler { steps = 5 } }`` sets ``policy.sampler.steps``, ``param temperature = 0.1`` a parameter."""

    diagnostics: Diagnostics
    blocks: Patterns = field(default_factory=list)

    def layers(self, body: Sequence[tree.Statement], where: str) -> list[Layer]:
        """The settings of a body, and those of its ``for task`` blocks behind them."""
        own = self._unique(body, where)
        found = [Layer(own)] if own else []
        for block in body:
            if isinstance(block, tree.ForTask) and block.complete:
                self.blocks.append(block)
                sets = self._unique(block.body, 'a "for task" block')
                if sets:
                    found.append(Layer(sets, block.patterns))
                for inner in block.body:
                    if isinstance(inner, tree.ForTask):
                        self._misplaced(inner, 'a "for task" block')
        return found

    def lengths(self, body: Sequence[tree.Statement], where: str, section: str) -> list[Layer]:
        """The settings of a budget: its options are those of a section, and its blocks the lengths of phases."""
        layers = self.layers([*_inside(section, body)], where)
        return [replace(one, sets=tuple(o for o in one.sets if self._is_length(o, where, section))) for one in layers]

    def _is_length(self, override: Override, where: str, section: str) -> bool:
        """Whether a budget may set it; what it may not set is reported."""
        head, *options = override.path
        if head.id == section:
            return True
        if not options or find("section", head.id) is not None:
            note = f"a budget has options of {section} and lengths of phases: write others in the suite or a group"
            self.diagnostics.error("FRL0276", f'settings of "{head.id}" cannot stand inside {where}', head.span, note)
        elif len(options) > 1 or options[0].id not in PHASE_LENGTHS:
            hint = f"a budget sets {' or '.join(PHASE_LENGTHS)} of a phase"
            self.diagnostics.error("FRL0208", f'phase "{head.id}" has no length "{options[0].id}"', options[0].span, hint)
        else:
            return True
        return False

    def _unique(self, body: Sequence[tree.Statement], where: str) -> tuple[Override, ...]:
        found: dict[str, Override] = {}
        for override in self._settings(body, where, ()):
            first = found.setdefault(override.dotted, override)
            if first is not override:
                note = f"first given in line {first.span.line}"
                self.diagnostics.error("FRL0206", f'setting "{override.dotted}" is given twice', override.span, note)
        return tuple(found.values())

    def _settings(self, body: Sequence[tree.Statement], where: str, path: tuple[tree.Name, ...]) -> Iterator[Override]:
        for statement in body:
            match statement:
                case tree.Assign(key, value) if path or key.id in SETTINGS:
                    yield Override((*path, key), value, statement.span)
                case tree.Param(name, value, None) if not path:
                    yield Override((name,), value, statement.span)
                case tree.Section(name, inner, given=None) if statement.complete:
                    yield from self._block(inner, (*path, name))
                case tree.ForTask() | tree.Section(complete=False):
                    continue
                case _:
                    self._misplaced(statement, where)

    def _block(self, body: Sequence[tree.Statement], path: tuple[tree.Name, ...]) -> Iterator[Override]:
        """The settings of a nested block, in which no ``for task`` block stands."""
        where = f'the block "{path[-1].id}"'
        for statement in body:
            if isinstance(statement, tree.ForTask):
                self._misplaced(statement, where)
        yield from self._settings(body, where, path)

    def _misplaced(self, statement: tree.Statement, where: str) -> None:
        what, place, note = _what(statement)
        self.diagnostics.error("FRL0276", f"{what} cannot stand inside {where}", place, note)


def _inside(section: str, body: Sequence[tree.Statement]) -> Iterator[tree.Statement]:
    """The statements with each assignment in a block of the section, those of ``for task`` blocks too."""
    for statement in body:
        match statement:
            case tree.Assign(key):
                yield tree.Section(tree.Name(section, key.span), (statement,), statement.span)
            case tree.ForTask():
                yield replace(statement, body=tuple(_inside(section, statement.body)))
            case _:
                yield statement


def _what(statement: tree.Statement) -> tuple[str, Span, str]:
    """What a statement is, where it is reported, and what to write in its place."""
    match statement:
        case tree.Assign(key):
            return f'the setting "{key.id}"', key.span, "settings stand in the block of their section: train { batch = 64 }"
        case tree.Param(name, range=bounds) if bounds is not None:
            return f'a range of "{name.id}"', bounds.span, "a suite sets the value alone; the spec declares its range"
        case tree.Param(name):
            return f'param "{name.id}"', name.span, "write it at the top level of the suite or of a group"
        case tree.Section(name, given=given) if given is not None:
            note = f"write {given.id} {{ ... }}: the settings of a section are those of its own name"
            return f'"{name.id} {given.id}"', name.span, note
        case tree.Improve(mechanism=mechanism):
            note = f"write {mechanism.id} {{ ... }} with the options to change; factor is the number in front of the block"
            return "an improve block", mechanism.span, note
        case tree.Let(name) | tree.Define(name):
            return f'the definition of "{name.id}"', name.span, "formulas belong to specs: write one that extends the spec"
        case tree.ForTask():
            return 'a "for task" block', statement.span, "write it at the top level of the suite, a group or a budget"
    raise TypeError(f"not a statement that is refused: {statement!r}")
