"""A file becomes a checked suite: its groups and budgets, and the settings laid over one another."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any

from pydantic import Field

from flowrl_dsl.diagnostics import Diagnostics, Span, did_you_mean, nearest
from flowrl_dsl.registry import Component
from flowrl_dsl.resources import shipped_specs
from flowrl_dsl.spec.applies import applies
from flowrl_dsl.spec.literals import read_literal
from flowrl_dsl.spec.scope import Scope, Site
from flowrl_dsl.spec.suites.data import DATA, Written, read_data, separate
from flowrl_dsl.spec.suites.settings import SettingsReader
from flowrl_dsl.spec.suites.suite import LENGTHS, Budget, Group, Layer, Suite
from flowrl_dsl.syntax import tree
from flowrl_dsl.syntax.sources import SUFFIX, beside

CHOICES = ("specs", "tasks", "seeds", "budget")
"""What a suite chooses, and a group in place of its suite."""
MADE_BY = "made_by"
"""What makes data sets that are not there, a text for the user: a choice that may be missing."""
_CHOOSABLE = (*CHOICES, MADE_BY)
BUDGET, GROUP = "budget", "group"
"""The named blocks of a suite."""
LARGEST_SEED = 2**31 - 1


class _Choices(Component):
    """The values of the choices of a suite."""

    specs: tuple[str, ...] = Field(min_length=1)
    tasks: tuple[str, ...] = Field(min_length=1)
    seeds: int = Field(ge=1, le=1000)
    budget: str
    made_by: str


class _Listed(Component):
    """Seeds that are listed one by one."""

    seeds: tuple[Annotated[int, Field(ge=0, le=LARGEST_SEED)], ...] = Field(min_length=1)


@dataclass
class _Block:
    """A suite or a group: what it chooses, and its settings."""

    name: tree.Name
    choices: dict[str, tree.Assign] = field(default_factory=dict)
    layers: list[Layer] = field(default_factory=list)
    data: list[Written] = field(default_factory=list)

    def over(self, base: _Block) -> _Block:
        """This block over the one of its name in the suite that is extended."""
        layers, data = [*base.layers, *self.layers], [*base.data, *self.data]
        return _Block(self.name, base.choices | self.choices, layers, data)


@dataclass
class _Read:
    """The blocks of the suites of a chain, merged."""

    whole: _Block
    title: str
    groups: dict[str, _Block] = field(default_factory=dict)
    budgets: dict[str, _Block] = field(default_factory=dict)
    complete: bool = True
    """Whether no syntax error hides a part, so that something missing is an error."""

    def over(self, base: _Read) -> _Read:
        return _Read(
            self.whole.over(base.whole),
            self.title or base.title,
            _merged(self.groups, base.groups),
            _merged(self.budgets, base.budgets),
            self.complete and base.complete,
        )


def _merged(child: dict[str, _Block], base: dict[str, _Block]) -> dict[str, _Block]:
    return base | {name: block.over(base[name]) if name in base else block for name, block in child.items()}


def read_suite(chain: Sequence[tree.Suite], diagnostics: Diagnostics) -> Suite | None:
    """The first suite of a chain laid over those it extends; None after errors.  Its specs are not read yet."""
    settings = SettingsReader(diagnostics)
    reader = _StatementReader(diagnostics, settings)
    read = reader.suite(chain[-1])
    for child in reversed(chain[:-1]):
        read = reader.suite(child).over(read)
    builder = _Builder(diagnostics, read)
    groups = builder.groups()
    budgets = {name: Budget(name, tuple(block.layers)) for name, block in read.budgets.items()}
    if read.complete:
        _unmatched(read, settings.blocks, groups, diagnostics)
        _without_phase(groups, budgets.values(), diagnostics)
    if diagnostics.errors or not read.complete:
        return None
    return Suite(read.whole.name.id, read.title, groups, budgets)


def _unmatched(read: _Read, blocks: Sequence[tree.ForTask], groups: Sequence[Group], diagnostics: Diagnostics) -> None:
    """Report the ``for task`` blocks that hold on no task and no data set; one that chooses data sets is for tasks."""
    choosing = [written.tasks for block in (read.whole, *read.groups.values()) for written in block.data]
    tasks = {task for group in groups for task in group.tasks}
    sets = {source.name for group in groups for _, source in group.places() if source is not None}
    for block in blocks:
        data = set() if block.tasks in choosing else sets
        places = [*((task, None) for task in tasks), *((None, name) for name in data)]
        if tasks and not any(applies(block.patterns, task, name) for task, name in places):
            names = ", ".join(f'"{name}"' for name in block.patterns)
            what = "no task and no data set" if data else "no task"
            hint = did_you_mean(block.patterns[0], tasks | data)
            diagnostics.error("FRL0278", f"the suite has {what} {names}", block.tasks[0].span, hint)


def _without_phase(groups: Sequence[Group], budgets: Iterable[Budget], diagnostics: Diagnostics) -> None:
    """Report the lengths of phases in budgets that take the place of none of a group."""
    places = [(group, task, one.name if one else None) for group in groups for task, one in group.places()]
    given = {path for group, task, data in places for path in group.lengths_of_phases(task, data)}
    for override in (override for budget in budgets for override in budget.lengths_of_phases()):
        if groups and override.dotted not in given:
            head = override.path[0]
            hint = did_you_mean(head.id, {path.partition(".")[0] for path in given})
            note = hint or f"a group sets the length that its runs have: {head.id} {{ {override.path[1].id} = 2_000 }}"
            diagnostics.error("FRL0279", f"no group sets {override.dotted}", head.span, note)


@dataclass
class _StatementReader:
    """Sorts the statements of a suite by kind."""

    diagnostics: Diagnostics
    settings: SettingsReader

    def suite(self, suite: tree.Suite) -> _Read:
        title = suite.title.value if suite.title else ""
        blocks = [s for s in suite.body if isinstance(s, tree.Section) and s.name.id in (BUDGET, GROUP)]
        rest = [statement for statement in suite.body if statement not in blocks]
        read = _Read(self._block(suite.name, rest, "a suite"), title)
        whole = [s.complete for s in suite.body if isinstance(s, tree.Section | tree.Improve | tree.ForTask)]
        read.complete = suite.complete and all(whole)
        for block in blocks:
            self._named(block, read)
        return read

    def _named(self, section: tree.Section, read: _Read) -> None:
        kind = section.name.id
        if section.given is None:
            note = f"for instance {kind} {'small' if kind == BUDGET else 'locomotion'} {{ ... }}"
            self.diagnostics.error("FRL0277", f"a {kind} has a name", section.name.span, note)
            return
        table = read.budgets if kind == BUDGET else read.groups
        where = f'the {kind} "{section.given.id}"'
        if section.given.id in table:
            note = f"first given in line {table[section.given.id].name.span.line}"
            self.diagnostics.error("FRL0206", f"{where} is given twice", section.given.span, note)
        elif not section.complete:
            table[section.given.id] = _Block(section.given)
        elif kind == GROUP:
            table[section.given.id] = self._block(section.given, section.body, where)
        else:
            table[section.given.id] = _Block(section.given, layers=self.settings.lengths(section.body, where, LENGTHS))

    def _block(self, name: tree.Name, body: Sequence[tree.Statement], where: str) -> _Block:
        data, body = separate(body, self.diagnostics)
        block = _Block(name, data=data)
        chosen = [s for s in body if isinstance(s, tree.Assign) and s.key.id in _CHOOSABLE]
        for assign in chosen:
            first = block.choices.setdefault(assign.key.id, assign)
            if first is not assign:
                note = f"first given in line {first.span.line}"
                self.diagnostics.error("FRL0206", f'"{assign.key.id}" is given twice', assign.key.span, note)
        rest = [statement for statement in body if statement not in chosen]
        for statement in rest:
            if isinstance(statement, tree.Assign) and (close := nearest(statement.key.id, (*_CHOOSABLE, DATA))):
                message = f'{where} has no setting "{statement.key.id}"'
                self.diagnostics.error("FRL0208", message, statement.key.span, f'did you mean "{close}"?')
        settings = [s for s in rest if not (isinstance(s, tree.Assign) and nearest(s.key.id, (*_CHOOSABLE, DATA)))]
        block.layers = self.settings.layers(settings, where)
        return block


@dataclass
class _Builder:
    """Groups from blocks: what a group does not choose, its suite does."""

    diagnostics: Diagnostics
    read: _Read

    def groups(self) -> tuple[Group, ...]:
        whole = self.read.whole
        if not self.read.groups:
            return tuple(filter(None, [self._group("", whole)]))
        found = (self._group(name, block.over(whole)) for name, block in self.read.groups.items())
        return tuple(filter(None, found))

    def _group(self, name: str, block: _Block) -> Group | None:
        missing = [choice for choice in CHOICES if choice not in block.choices]
        if missing and self.read.complete:
            where = f'the group "{name}"' if name else "the suite"
            message = f"{where} does not choose its {' and '.join(missing)}"
            self.diagnostics.error("FRL0272", message, block.name.span, _MISSING[missing[0]])
        values = {choice: self._value(choice, assign) for choice, assign in block.choices.items()}
        if "budget" in block.choices:
            self._check_budget(values["budget"], block.choices["budget"])
        if missing or any(value is None for value in values.values()):
            return None
        seeds = values["seeds"]
        seeds = seeds if isinstance(seeds, tuple) else tuple(range(seeds))
        specs = self._specs(values["specs"], block.choices["specs"])
        chosen = (values["tasks"], seeds, values["budget"], tuple(block.layers))
        return Group(name, specs, *chosen, read_data(block.data, self.diagnostics), values.get(MADE_BY, ""))

    def _value(self, choice: str, assign: tree.Assign) -> Any:
        """The value of a choice; None after an error."""
        listed = choice == "seeds" and isinstance(assign.value, tree.List)
        cls: type[Component] = _Listed if listed else _Choices
        value = read_literal(cls, choice, assign.value, Scope(self.diagnostics), Site(choice, assign.value.span))
        if isinstance(value, tuple) and isinstance(assign.value, tree.List):
            self._check_repeated(choice, value, assign.value)
        return value

    def _check_repeated(self, choice: str, values: tuple[Any, ...], written: tree.List) -> None:
        for place, value in enumerate(values):
            if value in values[:place]:
                note = "each run is made once: remove one of them"
                self.diagnostics.error("FRL0275", f"{value} stands in {choice} twice", written.items[place].span, note)

    def _check_budget(self, name: str | None, assign: tree.Assign) -> None:
        if name is None or name in self.read.budgets or not self.read.complete:
            return
        known = self.read.budgets
        hint = did_you_mean(name, known) if known else f"write budget {name} {{ steps = 20_000 }}"
        self.diagnostics.error("FRL0273", f'the suite has no budget "{name}"', assign.value.span, hint)

    def _specs(self, names: tuple[str, ...], assign: tree.Assign) -> dict[str, str]:
        """The files of the specs by the names that tables give them."""
        assert isinstance(assign.value, tree.List)
        known = shipped_specs()
        found: dict[str, str] = {}
        for name, place in zip(names, assign.value.items, strict=True):
            path = beside(place.span.file, name) if name.endswith(SUFFIX) else str(known.get(name, ""))
            stem = name.rpartition("/")[2].removesuffix(SUFFIX)
            if not path:
                self._unknown(name, place.span, known)
            elif found.setdefault(stem, path) != path:
                note = "tables name a spec by its file: rename one of them"
                self.diagnostics.error("FRL0275", f'two specs are called "{stem}"', place.span, note)
        return found

    def _unknown(self, name: str, place: Span, known: Mapping[str, object]) -> None:
        close = nearest(name, known)
        hint = f'did you mean "{close}"?' if close else f'a file is named with its ending: "{name}{SUFFIX}"'
        self.diagnostics.error("FRL0274", f'there is no shipped spec "{name}"', place, hint)


_MISSING = {
    "specs": "write specs = [sac, td3]",
    "tasks": 'write tasks = ["Hopper-v5", "dm_control/walker-run"]',
    "seeds": "write seeds = 5, or list them: seeds = [0, 1, 2]",
    "budget": "write budget = small, and budget small { steps = 20_000  evaluate_every = 2_000 }",
}
