"""A file becomes a checked algorithm: merging, building, and every check, with all errors at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase

from flowrl_dsl.algorithm import POLICY, RESERVED, Algorithm, Improvement, Origin, Stage
from flowrl_dsl.diagnostics import Diagnostic, Diagnostics, Span, did_you_mean
from flowrl_dsl.registry import (
    NOT_NEGATIVE,
    Component,
    Scalar,
    SectionKind,
    families,
    find,
    members_of,
    sections,
    sources,
    stages,
)
from flowrl_dsl.spec import compatibility, lint, stdlib
from flowrl_dsl.spec.kinds import kinds
from flowrl_dsl.spec.load import Loader
from flowrl_dsl.spec.merge import Block, Program, apply_task, merge
from flowrl_dsl.spec.options import FAILED, Options
from flowrl_dsl.spec.order import OrderReader, default_order
from flowrl_dsl.spec.overrides import apply_sets
from flowrl_dsl.spec.parameters import check_name, read_parameter
from flowrl_dsl.spec.scope import SET_FILE, Scope, Site, inside
from flowrl_dsl.syntax import tree

REGIME = "off_policy"


@dataclass(frozen=True)
class Resolution:
    """What became of a spec.

    ``algorithm`` is None exactly when ``diagnostics`` holds an error; ``sources`` has the text of every file that a
    diagnostic may point into.
    """

    algorithm: Algorithm | None
    diagnostics: Diagnostics
    sources: dict[str, str]


def resolve(path: str, *, task: str | None = None, sets: Sequence[str] = ()) -> Resolution:
    """Read and check the spec ``path`` as it stands for ``task`` with the overrides ``sets`` (``key=value``).

    Never raises for what a user wrote.  Overrides for other tasks are checked as well.
    """
    diagnostics = Diagnostics()
    loader = Loader(diagnostics)
    try:
        algorithm = _resolve(loader, path, task, sets)
    except RecursionError:
        diagnostics.error("FRL0229", "the spec is nested too deeply to be checked", None)
        algorithm = None
    return Resolution(None if diagnostics.errors else algorithm, diagnostics, loader.sources)


def _resolve(loader: Loader, path: str, task: str | None, sets: Sequence[str]) -> Algorithm | None:
    diagnostics = loader.diagnostics
    main = loader.main(path)
    chain = loader.chain(main)
    if chain is None:
        return None
    program = merge(chain, diagnostics)
    blocks = [block for block in program.tasks if _holds(block, task)]
    chosen = _for_task(program, blocks, diagnostics)
    edited = apply_sets(chosen, sets, diagnostics, loader.sources)
    checked = _Check(edited, main, Scope(diagnostics, applied=tuple(edited.applied)), bool(sets), task).run()
    text = loader.sources.get(main, "")
    used = checked.scope.used | _used_elsewhere(program, blocks, main, text, diagnostics, chosen if sets else None)
    _report_unused(checked, used)
    if not diagnostics.errors:
        lint.lint(checked.algorithm, edited, text, diagnostics)
    return checked.algorithm


def _holds(block: tree.ForTask, task: str | None) -> bool:
    """Whether a block speaks of the task; ``*`` in its names stands for anything."""
    return task is not None and any(fnmatchcase(task, name.value) for name in block.tasks)


def _for_task(program: Program, blocks: Sequence[tree.ForTask], diagnostics: Diagnostics) -> Program:
    for block in blocks:
        program = apply_task(program, block, diagnostics)
    return program.copy()


def _used_elsewhere(
    program: Program, chosen: list[tree.ForTask], main: str, text: str, diagnostics: Diagnostics, unset: Program | None
) -> set[tuple[str, Span]]:
    """Check the file's own blocks for other tasks, keeping what is found because of them.

    Gives what those variants use, and what the spec uses without overrides (``unset``).
    """
    others = [block for block in program.tasks if block not in chosen and block.span.file == main]
    plain = Diagnostics()
    if others:
        _Check(program, main, Scope(plain), False).run()
    used: set[tuple[str, Span]] = set()
    for block in others:
        own = Diagnostics()
        variant = apply_task(program, block, own)
        checked = _Check(variant, main, Scope(own, applied=(block,)), False).run()
        used |= checked.scope.used
        if not own.errors:
            lint.lint(checked.algorithm, variant, text, own)
        diagnostics.extend(_because_of(block, own, plain))
    if unset is not None:
        used |= _Check(unset, main, Scope(Diagnostics(), applied=tuple(unset.applied)), False).run().scope.used
    return used


def _because_of(block: tree.ForTask, own: Diagnostics, plain: Diagnostics) -> list[Diagnostic]:
    """What is wrong inside a block, and what is wrong elsewhere only with the block laid over it."""
    names = ", ".join(f'"{name.value}"' for name in block.tasks)
    found = []
    for diagnostic in own:
        if diagnostic.span is not None and inside(diagnostic.span, block.span):
            found.append(diagnostic)
        elif diagnostic.severity == "error" and not plain.errors:
            found.append(replace(diagnostic, notes=(*diagnostic.notes, f"for task {names}")))
    return found


@dataclass
class _Check:
    """One pass over one program."""

    program: Program
    main: str
    scope: Scope
    edited: bool
    task: str | None = None
    sections: dict[str, Component] = field(default_factory=dict)
    algorithm: Algorithm | None = None

    def run(self) -> _Check:
        """Check everything; ``algorithm`` is filled in even after errors, as far as it could be made out."""
        self._declare()
        known = sections()
        blocks = self.program.sections.items()
        self.scope.sources = sources({owner: known[block.name.id] for owner, block in blocks if block.name.id in known})
        regime = self._regime()
        self._sections()
        improvements = tuple(self._improvements())
        self._drop_unused_inherited()
        compatibility.check(self.scope)
        parameters = self.scope.parameters
        order = self._order(improvements)
        if regime is not FAILED and not self.scope.diagnostics.errors:
            self.algorithm = Algorithm(
                name=self.program.name.id,
                title=self.program.title,
                paper=self._paper(),
                regime=regime,
                order=order,
                sections=self.sections,
                parameters=parameters,
                improvements=improvements,
                origins=self.scope.origins,
                task=self.task,
            )
        return self

    @property
    def _place(self) -> Span:
        return self.program.name.span

    # --- declarations

    def _declare(self) -> None:
        """Names first: lets and definitions as they stand, then parameters in order of declaration."""
        scope, program = self.scope, self.program
        library = stdlib.definitions()
        scope.library = stdlib.LIBRARY
        scope.lets = dict(program.lets)
        scope.defines = {**library, **program.defines}
        for node in (*program.lets.values(), *program.defines.values()):
            check_name(node.name, scope)
        self._check_repeats()
        for define in program.defines.values():
            self._check_define(define)
        for name, param in program.params.items():
            scope.parameters[name] = read_parameter(param, scope)

    def _check_repeats(self) -> None:
        """A name is declared once, whatever it is declared as."""
        tables = (("param", self.program.params), ("let", self.program.lets), ("def", self.program.defines))
        seen: dict[str, tuple[str, Span]] = {}
        for kind, table in tables:
            for name, node in table.items():
                self._check_repeat(kind, node.name, seen)
                seen.setdefault(name, (kind, node.name.span))
        for block in self.program.sections.values():
            if block.given is not None:
                self._check_repeat("section", block.given, seen)
                seen.setdefault(block.given.id, ("section", block.given.span))
        blocks = [*self.program.sections.values(), *(term.block for term in self.program.improvements)]
        for block in blocks:
            for let in block.lets.values():
                self._check_repeat("let", let.name, seen)
                check_name(let.name, self.scope)

    def _check_repeat(self, kind: str, name: tree.Name, seen: dict[str, tuple[str, Span]]) -> None:
        if name.id in seen:
            other, span = seen[name.id]
            self._error("FRL0206", f'{kind} "{name.id}" takes the name of a {other}', name.span, f"declared at {span}")

    def _check_define(self, define: tree.Define) -> None:
        """Every argument of a definition is used, and none is named twice."""
        names = _names(define.value)
        seen: set[str] = set()
        for parameter in define.parameters:
            if parameter.id in seen:
                self._error("FRL0206", f'argument "{parameter.id}" is given twice', parameter.span)
            elif parameter.id not in names:
                message = f'argument "{parameter.id}" of def "{define.name.id}" is never used'
                self._error("FRL0225", message, parameter.span)
            seen.add(parameter.id)

    # --- settings

    def _regime(self) -> Component:
        given = self.program.settings.get("regime")
        self._check_settings()
        site = Site("regime", given.value.span if given else self._place)
        options = Options(self.scope)
        if given is not None:
            self.scope.record(site, given.value)
            return options.component("regime", given.value, site)
        name = tree.Name(REGIME, self._place)
        self.scope.origins["regime"] = Origin(text=REGIME, source="default", span=self._place)
        return options.component("regime", name, replace(site, default=REGIME))

    def _check_settings(self) -> None:
        known = ("paper", "regime", "order")
        for key, assign in self.program.settings.items():
            if key in known:
                continue
            homes = [name for name, cls in members_of("section").items() if key in cls.model_fields]
            hint = f"it is an option of section {' and '.join(sorted(homes))}" if homes else did_you_mean(key, known)
            self._error("FRL0208", f'an algorithm has no setting "{key}"', assign.key.span, hint)
        paper = self.program.settings.get("paper")
        if paper is not None and not isinstance(paper.value, tree.String):
            self._error("FRL0213", '"paper" is a string', paper.value.span, 'for instance paper = "arXiv:2312.11752"')

    def _paper(self) -> str:
        paper = self.program.settings.get("paper")
        return paper.value.value if paper is not None and isinstance(paper.value, tree.String) else ""

    # --- sections and improvements

    def _sections(self) -> None:
        known = sections()
        for block in self.program.sections.values():
            if block.name.id not in known:
                self._unknown_section(block)
        for name, cls in known.items():
            for owner, block in self._sections_of(name):
                self._section(cls, owner, block)
            if name in self.sections or name in self.program.sections:
                continue
            if cls.implied:
                self._section(cls, name, Block(tree.Name(name, self._place)))
            elif name == POLICY:
                self._error("FRL0210", "the algorithm has no policy", self._place, "add: policy { backbone = ... }")
                self.scope.maybe |= {c for members in families().values() for m in members.values() for c in m.provides}
        for owner, section in self.sections.items():
            if owner in self.program.sections:
                compatibility.check_unread(section, owner, self._own(self.program.sections[owner]), self.scope)

    def _own(self, block: Block) -> dict[str, tree.Assign]:
        """The options of a block that the spec itself or ``--set`` gives; one of a base may go unread beside them."""
        own = (self.main, SET_FILE)
        return {name: assign for name, assign in block.options.items() if assign.span.file in own}

    def _sections_of(self, kind: str) -> list[tuple[str, Block]]:
        """The sections of a kind that the program declares, by name; the one without a name of its own first."""
        found = [(owner, block) for owner, block in self.program.sections.items() if block.name.id == kind]
        return sorted(found, key=lambda item: item[1].given is not None)

    def _section(self, cls: type[SectionKind], owner: str, block: Block) -> None:
        if block.given is not None:
            self._check_section_name(cls, block.given)
        site = Site(owner, block.name.span, block.lets)
        given = self._given(cls, block, f'section "{owner}"')
        self.sections[owner] = Options(self.scope).build(cls, given, block.name.span, site)

    def _check_section_name(self, cls: type[SectionKind], name: tree.Name) -> None:
        """A name of its own belongs to a kind that an algorithm may have several of, and to no other group of the state."""
        if not cls.named:
            message = f'an algorithm has one section "{cls.name}", without a name of its own'
            self._error("FRL0205", message, name.span, f"write {cls.name} {{ ... }}")
        check_name(name, self.scope)
        others = [owner for owner in {*self.program.sections, *sections()} if owner != name.id]
        near = [o for o in others if name.id.startswith(f"{o}_") or name.id == f"old_{o}"]
        if name.id in RESERVED or near:
            whose = f"a group of section {near[0]}" if near else "a group of the state"
            self._error("FRL0227", f'"{name.id}" is the name of {whose}', name.span, "choose another name")

    def _given(self, cls: type[Component], block: Block, what: str) -> dict[str, tree.Expr]:
        """The options of a block that its class knows; the others are reported."""
        for key, assign in block.options.items():
            if key not in cls.model_fields:
                names = did_you_mean(key, cls.model_fields)
                self._error("FRL0208", f'{what} has no option "{key}"', assign.key.span, names)
        if block.lets and not any(kind.role == "formula" for kind in kinds(cls).values()):
            let = next(iter(block.lets.values()))
            message = f"a let cannot stand inside {what}"
            self._error("FRL0205", message, let.span, "only sections with formulas have lets")
        return {key: assign.value for key, assign in block.options.items() if key in cls.model_fields}

    def _unknown_section(self, block: Block) -> None:
        name = block.name
        message = f'unknown section "{name.id}"'
        hint = did_you_mean(name.id, members_of("section"))
        if find("mechanism", name.id) is not None:
            hint = f"{name.id} is a mechanism: write `improve {name.id} {{ ... }}`"
        self._error("FRL0207", message, name.span, hint)

    def _improvements(self) -> list[Improvement]:
        if not self.program.improvements:
            names = ", ".join(sorted(members_of("mechanism")))
            hint = f"add one: improve mechanism {{ ... }}, the mechanism one of {names}"
            self._error("FRL0210", "the algorithm never improves its policy", self._place, hint)
        self._check_improved()
        found = []
        for term, label in zip(self.program.improvements, self.program.labels(), strict=True):
            cls = find("mechanism", term.mechanism)
            if cls is None:
                self._unknown_mechanism(term.block.name)
                continue
            self.scope.owners[label] = term.owner
            site = Site(label, term.block.name.span, term.block.lets)
            given = self._given(cls, term.block, cls.name)
            mechanism = Options(self.scope).build(cls, given, term.block.name.span, site)
            compatibility.check_unread(mechanism, label, self._own(term.block), self.scope)
            weight = self._weight(cls, term.weight, site)
            if weight is not FAILED:
                place = term.block.name.span
                found.append(Improvement(label=label, owner=term.owner, weight=weight, mechanism=mechanism, span=place))
        return found

    def _check_improved(self) -> None:
        """Only what acts can be improved, and what acts under a name of its own is."""
        acting = {owner for owner, block in self.program.sections.items() if self._acts(block)}
        for term in self.program.improvements:
            if term.owner not in acting and term.owner in self.program.sections:
                message = f'an improve block cannot stand inside section "{term.owner}", which has no policy'
                self._error("FRL0205", message, term.span, "write it at the top level or inside a policy")
        improved = {term.owner for term in self.program.improvements}
        for owner in sorted(acting - improved - {POLICY}):
            message = f'section "{owner}" has no improve block, so its policy never moves'
            self._error("FRL0210", message, self.program.sections[owner].name.span, "add one inside: improve ... { ... }")

    def _acts(self, block: Block) -> bool:
        kind = sections().get(block.name.id)
        return kind is not None and kind.acts

    def _unknown_mechanism(self, name: tree.Name) -> None:
        names = members_of("mechanism")
        self.scope.maybe |= {c for member in names.values() for c in member.provides}
        self._error("FRL0211", f'unknown mechanism "{name.id}"', name.span, did_you_mean(name.id, names))

    def _weight(self, cls: type[Component], weight: tree.Expr | None, site: Site) -> Scalar:
        """The weight of a term of the loss; recorded under the label where ``weight`` is an option of the mechanism."""
        inner = site.child("weight")
        key = site if "weight" in cls.model_fields else inner
        if weight is None:
            self.scope.record(replace(key, default="1"), "1")
            return Scalar(name=inner.path, value=1.0)
        self.scope.record(key, weight)
        return Options(self.scope).scalar(weight, NOT_NEGATIVE, inner.written(weight.span))

    # --- the end

    def _drop_unused_inherited(self) -> None:
        """A parameter of a base that nothing reads any more is gone; the child had no other way to drop it."""
        scope = self.scope
        used = scope.used | (_mentioned(self.program) if scope.diagnostics.errors else set())
        for name, parameter in list(scope.parameters.items()):
            assert parameter.span is not None
            if ("param", parameter.span) not in used and parameter.span.file not in (self.main, SET_FILE):
                del scope.parameters[name]
                scope.forget(name)

    def _order(self, improvements: Sequence[Improvement]) -> Stage:
        movable, still = self._parts()
        given = self.program.settings.get("order")
        if given is None:
            text = " -> ".join(movable)
            self.scope.origins["order"] = Origin(text=text, source="default", span=self._place)
            return default_order(movable)
        self.scope.record(Site("order", given.value.span), given.value)
        file = given.span.file
        fixed = self.edited or bool(self.program.applied)
        lenient = file != SET_FILE and (fixed or file != self.main)
        measured = self._measured(improvements)
        return OrderReader(movable, still, lenient, measured, self.scope.diagnostics, self._critic_trainer()).read(
            given.value
        )

    def _measured(self, improvements: Sequence[Improvement]) -> set[str]:
        """The parameters that are learned from what the mechanisms measure."""
        offered = set().union(*(improvement.mechanism.provides for improvement in improvements))
        learned = {name: parameter.learned for name, parameter in self.scope.parameters.items()}
        return {n for n, c in learned.items() if isinstance(c, Component) and compatibility.needs(c, self.scope) & offered}

    def _critic_trainer(self) -> str:
        """The first mechanism that moves the critic in the stage ``policy``."""
        mechanisms = (find("mechanism", term.mechanism) for term in self.program.improvements)
        return next((cls.name for cls in mechanisms if cls is not None and cls.trains == "critic"), "")  # type: ignore[attr-defined]

    def _parts(self) -> tuple[list[str], dict[str, str]]:
        """The parts that move, in default order, and why the others do not."""
        scope = self.scope
        learned = [name for name, parameter in scope.parameters.items() if parameter.learned is not None]
        copies = [
            (section, name)
            for section, component in self.sections.items()
            for name, kind in kinds(type(component)).items()
            if kind.role == "component" and kind.family == "target" and getattr(component, name, None) is not None
        ]
        moving = stages()
        owners = {kind: [owner for owner, _ in self._sections_of(kind)] for kind in moving}
        owners[POLICY] = owners[POLICY] or [POLICY]
        movable = [*(owner for kind in moving for owner in owners[kind]), *learned]
        movable += ["targets"] if copies else []
        still = {name: "it is not learned" for name in self.program.params if name not in learned}
        still |= {} if copies else {"targets": "no section keeps a target or old copy"}
        still |= {kind: f"the algorithm has no {kind}" for kind in moving if not owners[kind]}
        return movable, still

    def _error(self, code: str, message: str, span: Span, *notes: str) -> None:
        self.scope.diagnostics.error(code, message, span, *notes)


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


def _report_unused(checked: _Check, used: set[tuple[str, Span]]) -> None:
    """Nothing declared in the spec itself or by ``--set`` may go unread; what a base declares may."""
    program = checked.program
    blocks = [*program.sections.values(), *(term.block for term in program.improvements)]
    lets = [let for block in blocks for let in block.lets.values()]
    if checked.scope.diagnostics.errors:
        used = used | _mentioned(program)
    declared: list[tuple[str, tree.Param | tree.Let | tree.Define]] = [
        *(("param", param) for param in program.params.values()),
        *(("let", let) for let in (*program.lets.values(), *lets)),
        *(("def", define) for define in program.defines.values()),
    ]
    for kind, node in declared:
        if (kind, node.span) not in used and node.span.file in (checked.main, SET_FILE):
            message = f'{kind} "{node.name.id}" is never used'
            checked.scope.diagnostics.error("FRL0225", message, node.name.span, "use it or remove it")


def _mentioned(program: Program) -> set[tuple[str, Span]]:
    """Declarations whose names stand anywhere: after an error, not everything that would use them was checked."""
    blocks = [*program.sections.values(), *(term.block for term in program.improvements)]
    values = [assign.value for block in blocks for assign in block.options.values()]
    values += [let.value for table in (program.lets, *(block.lets for block in blocks)) for let in table.values()]
    values += [param.value for param in program.params.values()]
    values += [define.value for define in program.defines.values()]
    values += [term.weight for term in program.improvements if term.weight is not None]
    names = set().union(*map(_names, values))
    tables = [("param", program.params), ("let", program.lets), ("def", program.defines)]
    tables += [("let", block.lets) for block in blocks]
    return {(kind, node.span) for kind, table in tables for name, node in table.items() if name in names}
