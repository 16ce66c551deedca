"""Random specs, valid by construction.

What may stand where is read off the registry: the fields of sections and components with their types, bounds and
defaults, and what components provide and require.  A component that somebody adds, in this package or a plugin, takes part
without a change here.
"""

from __future__ import annotations

import itertools
import keyword
import re
import typing
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from hypothesis import reject
from hypothesis import strategies as st

from flowrl_dsl.algorithm import Parameter
from flowrl_dsl.components.sections.critic import READ_BY_BACKUP
from flowrl_dsl.diagnostics import Diagnostics, Span
from flowrl_dsl.lazy import MODULES
from flowrl_dsl.registry import (
    ANY,
    POSITIVE,
    Component,
    Interval,
    Slot,
    families,
    functions,
    members_of,
    providers,
    sections,
    sources,
)
from flowrl_dsl.spec import stdlib
from flowrl_dsl.spec.compatibility import provided, unread
from flowrl_dsl.spec.kinds import Kind, choices, kinds, without_none
from flowrl_dsl.spec.options import Options, default_expression
from flowrl_dsl.spec.order import parts
from flowrl_dsl.spec.parameters import taken
from flowrl_dsl.spec.scope import Scope, Site
from flowrl_dsl.syntax import tree
from flowrl_dsl.syntax.lexer import language
from flowrl_dsl.syntax.parser import parse, parse_expression
from flowrl_dsl.testing._formulas import Draw, FormulaWriter, Piece

WIDTHS = (4, 8)
"""Widths of generated networks."""
BATCHES = (7, 7, 1)
"""Rows of generated batches: more than any other axis has, so that none passes for the batch; or a single one."""
NUMBERS = (0.5, 0.1, 0.25, 0.9, 1.0, 0.05, 2.0, -0.5)
FACTORS = (1.0, 0.5, 0.75, 1.25)
_BOUNDS = ("gt", "ge", "lt", "le", "multiple_of")
_PLACE = Span("generated", 1, 1, 1, 1)
_NAMES = ("temperature", "tau", "rho", "beta", "g", "w", "kappa", "x1", "lower")
SOURCES = tuple(sources())
_STATE = ("state", "key", "step", "normalizer", "policy_opt", "critic_target", *SOURCES)
_AWKWARD = (
    *MODULES,
    *keyword.kwlist,
    *(f"{part}_new" for part in parts()),
    *("float", "partial", "loss", "policy_net"),
    *_STATE,
)
_WORD = re.compile(r"\w+")


@dataclass
class SpecWriter:
    """Writes one spec.

    ``including`` asks for components by family (``{"backbone": "diffusion"}``): each is taken at the first place it fits.
    Declarations that parts of the spec need are collected on the way, so that none goes unused.
    """

    draw: Draw
    including: dict[str, str]
    most_blocks: int = 2
    capabilities: set[str] = field(default_factory=set)
    declared: Declared = field(default_factory=lambda: Declared())
    names: set[str] = field(default_factory=set)
    declaring: bool = False
    trains_critic: bool = False
    members: int = 1

    def spec(self) -> str:
        kinds_of = sections()
        given = self._backbone_and_helpers(kinds_of)
        structure = {"policy": self._structure(kinds_of["policy"], given["policy"])}
        if given["critic"] or "critic" in self.including or self.draw(st.integers(0, 5)) < 5:
            structure["critic"] = self._structure(kinds_of["critic"], given["critic"])
            default = kinds_of["critic"].model_fields["ensemble"].default
            self.members = int(structure["critic"].get("ensemble", default))
        if kinds_of["encoder"].requires <= self.capabilities and self.draw(st.integers(0, 5)) == 5:
            structure["encoder"] = self._structure(kinds_of["encoder"], {})
        blocks = [self._improve(mechanism) for mechanism in self._mechanisms()]
        others = [name for name in kinds_of if name not in parts()]
        written = [self._section(name, structure.get(name, {})) for name in [*structure, *others]]
        shuffled = self.draw(st.permutations([part for part in written if part] + blocks))
        title = self._one_of(("", ' "of no paper"', ' "with a \\"quote\\""'))
        body = [*self._head(structure), *self.declared.lines, *shuffled, *self._for_task()]
        return f"algorithm {self._name()}{title} {{\n" + "\n".join(body) + "\n}\n"

    # --- choices

    def _one_of(self, options: Iterable[Any]) -> Any:
        return self.draw(st.sampled_from(list(options)))

    def _perhaps(self) -> bool:
        return self.draw(st.booleans())

    def _pick(self, family: str, possible: Collection[str]) -> str:
        """One of the possible components of a family; the one asked for, once."""
        wanted = self.including.get(family)
        if wanted in possible:
            del self.including[family]
            return typing.cast(str, wanted)
        return self._one_of(sorted(possible))

    def _asked(self, family: str) -> bool:
        """Whether a component of the family is still asked for, and could stand here."""
        return self.including.get(family) in self._members(family, self.capabilities)

    def _name(self) -> str:
        """A name that is free in the language: ordinary ones, and such that mean something in Python or in jax."""
        possible = [*_NAMES, *_AWKWARD] if self._perhaps() else _NAMES
        fallback = next(name for i in itertools.count() if (name := f"y{i}") not in self.names)
        name = self._one_of([name for name in possible if self._is_free(name)] or [fallback])
        self.names.add(name)
        return name

    def _is_free(self, name: str) -> bool:
        used = {*self.names, *stdlib.definitions(), *language().keywords, *_values_of_slots()}
        return name not in used and not taken(name)

    # --- components

    def _members(self, family: str, capabilities: Collection[str]) -> dict[str, type[Component]]:
        """The components of a family whose requirements are met."""
        return {name: cls for name, cls in members_of(family).items() if cls.requires <= set(capabilities)}

    def component(self, family: str, interval: Interval = ANY, in_schedule: bool = False) -> str:
        """A call of some component of the family that fits in; ``interval`` holds the ends of a schedule."""
        cls = members_of(family)[self._pick(family, self._members(family, self.capabilities))]
        return self._call(cls, interval, in_schedule)

    def _call(self, cls: type[Component], interval: Interval = ANY, in_schedule: bool = False) -> str:
        """A call of the component, its own validators and needs met."""
        optional = [name for name, kind in kinds(cls).items() if kind.optional and kind.default in (None, "none")]
        chosen = [name for name in optional if self._perhaps()]
        subsets = [list(s) for n in range(len(optional) + 1) for s in itertools.combinations(optional, n)]
        for subset in [chosen, *(s for s in subsets if s != chosen)]:
            before, asked = self.declared.copy(), dict(self.including)
            text = self._arguments(cls, subset, interval, in_schedule)
            if self._fits(cls.family, text):
                return text
            self.declared, self.including = before, asked
        return reject()

    def _arguments(self, cls: type[Component], optional: Collection[str], interval: Interval, in_schedule: bool) -> str:
        arguments: list[str] = []
        fields = kinds(cls)
        positional = True
        if {"start", "end"} <= fields.keys():
            start, end = (self.scalar(fields[name], interval, True) for name in ("start", "end"))
            arguments.append(f"{start} -> {end}")
            fields = {name: kind for name, kind in fields.items() if name not in ("start", "end")}
        for name, kind in fields.items():
            text = self._option(cls, name, kind, name in optional, in_schedule)
            if text is None:
                positional = False
                continue
            positional = positional and self._perhaps()
            arguments.append(text if positional else f"{name} = {text}")
        return f"{cls.name}({', '.join(arguments)})" if arguments or self._perhaps() else cls.name

    def _fits(self, family: str, text: str) -> bool:
        built, scope = self._built(family, text)
        if scope.diagnostics.errors or built is None:
            return False
        needs = set().union(*(reached.component.needs() for reached in scope.reached))
        needs |= {required.capability for required in scope.required}
        return needs <= self.capabilities | {
            c for reached in scope.reached for c in provided(reached.component, reached.path)
        }

    def _built(self, family: str, text: str) -> tuple[Component | None, Scope]:
        """The component a text stands for, and what the checker found in it."""
        scope = self._scope()
        expr, _ = parse_expression(text, "generated")
        return (None if expr is None else Options(scope).component(family, expr, Site("generated", _PLACE))), scope

    def _scope(self) -> Scope:
        scope = Scope(Diagnostics(), parameters=dict(self.declared.parameters), library=stdlib.LIBRARY)
        written = parse("\n".join(self.declared.definitions), "generated")[0] if self.declared.definitions else None
        scope.defines = {**stdlib.definitions(), **{d.name.id: d for d in (written.definitions if written else ())}}
        return scope

    # --- options

    def _option(self, cls: type[Component], name: str, kind: Kind, wanted: bool, in_schedule: bool = False) -> str | None:
        """The text of an option; None where it is left to its default."""
        info = cls.model_fields[name]
        if (kind.role == "component" or kind.draws_component) and self._asked(kind.family):
            return self.component(kind.family) if kind.role == "component" else self._drawn(kind)
        required = kind.default is None and (kind.language or info.is_required())
        if kind.optional and kind.default in (None, "none"):
            if not wanted:
                return None
        elif not required and kind.role != "literal" and not self._perhaps():
            return None if kind.role != "formula" or self._understands(kind) else self.formula(kind.slot)
        match kind.role:
            case "component":
                return self.component(kind.family)
            case "scalar":
                return self.scalar(kind, kind.interval, in_schedule)
            case "formula":
                return self.formula(kind.slot)
            case "drawn":
                return self._drawn(kind)
        return self._literal(cls, name)

    def _literal(self, cls: type[Component], name: str) -> str | None:
        """A plain value within its bounds: small whole numbers, floats not far from their default."""
        info = cls.model_fields[name]
        annotation, _ = without_none(info.annotation)
        default = None if info.is_required() else info.default
        bounds = {key: getattr(mark, key) for mark in info.metadata for key in _BOUNDS if hasattr(mark, key)}
        if choices(annotation):
            return self._one_of(choices(annotation)) if default is None or self._perhaps() else None
        if typing.get_origin(annotation) in (tuple, list):
            least = max((m.min_length for m in info.metadata if hasattr(m, "min_length")), default=0)
            sizes = self.draw(st.lists(st.sampled_from(WIDTHS), min_size=least, max_size=max(least, 1) + 1))
            return "[" + ", ".join(map(str, sizes)) + "]"
        if annotation is bool:
            return self._one_of(("true", "false")) if default is None or self._perhaps() else None
        if name == "batch":
            return str(self._one_of(BATCHES))
        if annotation is int:
            step = bounds.get("multiple_of", 1)
            least = max(bounds.get("ge", bounds.get("gt", 0) + 1), 0)
            first = -(-least // step) * step
            allowed = [n for n in range(first, first + 3 * step, step) if n <= bounds.get("le", n)]
            return str(self._one_of([*allowed[:1], *allowed]))  # what is long takes long to compile
        if annotation is float:
            near = [self._rounded((1.0 if default is None else default) * factor) for factor in FACTORS]
            near = [*near[:1], *NUMBERS] if default == 0 else near
            allowed = [x for x in near if _within(x, bounds)]
            return f"{self._one_of(allowed):g}" if allowed and (default is None or self._perhaps()) else None
        return None if default is not None else '"x"'

    @staticmethod
    def _rounded(value: float) -> float:
        return float(f"{value:.3g}")

    def scalar(self, kind: Kind, interval: Interval, in_schedule: bool = False) -> str:
        """A number of the interval, a parameter's name, or a schedule."""
        way = self._one_of(("number", "number", "parameter", "schedule"))
        if way == "parameter":
            return self._parameter(interval, fixed=in_schedule)
        if way == "schedule" and not in_schedule:
            return self.component("schedule", interval, True)
        return f"{self._number(kind.default, interval):g}"

    def _number(self, default: str | None, interval: Interval) -> float:
        try:
            near = [self._rounded(float(default or "") * factor) for factor in FACTORS]
        except ValueError:
            near = list(NUMBERS)
        allowed = [x for x in near if x in interval] or [x for x in NUMBERS if x in interval]
        return self._one_of(allowed) if allowed else reject()

    def _drawn(self, kind: Kind) -> str:
        value = self.component(kind.family) if kind.draws_component else str(self.draw(st.integers(1, 3)))
        kept = [source for source, need in sources().items() if not need or need in self.capabilities]
        source = self._one_of(kept)
        return value if source == "policy" and self._perhaps() else f"{value} from {source}"

    def _understands(self, kind: Kind) -> bool:
        """Whether the default of a formula calls only networks that are there."""
        called = {name for name in _calls(default_expression(kind.default or "1")) if name in functions()}
        return all(functions()[name].needs in self.capabilities for name in called)

    # --- declarations

    def _parameter(self, interval: Interval, fixed: bool = False) -> str:
        """The name of a parameter whose values lie in the interval; a new one is declared."""
        fixed = fixed or self.declaring
        known = self.declared.parameters.items()
        fitting = [name for name, p in known if p.interval == interval and not (fixed and (p.schedule or p.learned))]
        if fitting and self._perhaps():
            return self._one_of(fitting)
        way = "fixed" if fixed else self._one_of(("fixed", "schedule", "learned"))
        if way == "learned" and not all(factor in interval for factor in FACTORS):  # what is learned starts near 1
            way = "fixed"
        self.declaring, before = True, self.declaring
        value, changes = 1.0, {}
        if way == "schedule":
            text, changes = self.component("schedule", interval, True), {"schedule": Component()}
        elif way == "learned":
            text, changes = self.component("adaptation"), {"learned": Component()}
        else:
            value = self._number(None, interval)
            text = f"{value:g}"
        self.declaring = before
        name = self._name()
        where = f" in {interval}" if interval != ANY and self._perhaps() else ""
        self.declared.lines.append(f"param {name} = {text}{where}")
        self.declared.parameters[name] = Parameter(name=name, value=value, interval=interval, span=_PLACE, **changes)
        return name

    def formula(self, slot: Slot | None, block: list[str] | None = None) -> str:
        """A formula of a slot; lets go into ``block`` where there is one."""
        assert slot is not None

        def bind(piece: Piece) -> str:
            assert block is not None
            name = self._name()
            block.append(f"let {name} = {piece.text}")
            return name

        def define(arguments: list[str], text: str) -> str:
            name = self._name()
            self.declared.define(f"def {name}({', '.join(arguments)}) = {text}")
            return name

        writer = FormulaWriter(
            self.draw,
            slot,
            self.capabilities,
            parameter=lambda: self._parameter(POSITIVE),
            bind=bind if block is not None else None,
            define=define,
            members=self.members,
        )
        return writer.formula(self.draw(st.integers(1, 3)))

    # --- sections

    def _backbone_and_helpers(self, sections: Mapping[str, type[Component]]) -> dict[str, dict[str, str]]:
        """A backbone, and for each thing it needs an option, of the critic or of the policy itself, that provides it."""
        offered = {c for kind in members_of("critic").values() for c in kind.provides}
        possible = {
            name: cls
            for name, cls in members_of("backbone").items()
            if all(_helper(sections, need, offered | cls.provides) for need in cls.requires)
        }
        backbone = possible[self._pick("backbone", possible)]
        kept, self.capabilities = self.capabilities, self.capabilities | backbone.provides | backbone.requires
        given: dict[str, dict[str, str]] = {"critic": {}, "policy": {"backbone": self._call(backbone)}}
        built, _ = self._built("backbone", given["policy"]["backbone"])
        self.capabilities |= _provided(built) if built is not None else frozenset()
        # what the critic is decides which samplers can follow it
        by_critic = [need for need in sorted(backbone.requires) if need in offered]
        for need in [*by_critic, *sorted(backbone.requires - {*by_critic})]:
            helper = _helper(sections, need, self.capabilities)
            if helper is None:
                return reject()
            member = members_of(helper.family)[self._pick(helper.family, helper.members)]
            self._help(sections[helper.section], given[helper.section], helper.option, member)
            self.capabilities |= member.provides
        self.capabilities = kept
        return given

    def _help(self, section: type[Component], options: dict[str, str], option: str, member: type[Component]) -> None:
        """Set an option of a section to a call of a component that does not contradict the others; some tries for one."""
        for _ in range(6):
            before, asked = self.declared.copy(), dict(self.including)
            options[option] = self._call(member)
            scope = self._scope()
            self._section_of(section, options, scope)
            if not scope.diagnostics.errors:
                return
            self.declared, self.including = before, asked
        reject()

    def _structure(self, cls: type[Component], given: dict[str, str]) -> dict[str, str]:
        """The options of a section that shape it; what it provides with them counts from here on."""
        options = dict(given)
        silent = unread(self._section_of(cls, options)).keys() - READ_BY_BACKUP.keys()
        for name, kind in kinds(cls).items():
            helps = kind.role == "component" and kind.optional and kind.family in _helping_families()
            if name in options or name in silent or helps or kind.role not in ("component", "literal"):
                continue
            kept = kind.optional and kind.default not in (None, "none")
            text = "none" if kept and self.draw(st.integers(0, 3)) == 3 else self._option(cls, name, kind, self._perhaps())
            if text is None and kind.role == "component" and kind.family == "network":
                text = self.component("network")
            options |= {} if text is None else {name: text}
        scope = self._scope()
        self._section_of(cls, options, scope)
        for reached in scope.reached:
            self.capabilities |= _provided(reached.component)
        return options

    def _section_of(self, cls: type[Component], options: Mapping[str, str], scope: Scope | None = None) -> Component:
        """The section as the checker builds it of these options."""
        parsed = {name: parse_expression(text, "generated")[0] for name, text in options.items()}
        known = {name: expr for name, expr in parsed.items() if expr is not None}
        return Options(scope or self._scope()).build(cls, known, _PLACE, Site(cls.name, _PLACE))

    def _section(self, name: str, structure: dict[str, str]) -> str:
        """A section with its options; empty where nothing is said about it."""
        cls = members_of("section")[name]
        lets: list[str] = []
        options = dict(structure)
        backup = ""
        for key, kind in kinds(cls).items():
            if kind.role == "formula" and (self._perhaps() or not self._understands(kind)):
                backup = options[key] = self.formula(kind.slot, lets)
            elif kind.role == "formula":
                backup = kind.default or ""
        if "seen" in options and "within_seen" not in _WORD.findall(" ".join([backup, *lets])):
            backup = options["backup"] = f"within_seen({backup})"
        read = set(_WORD.findall(" ".join([backup, *lets])))
        for key, kind in kinds(cls).items():
            shaping = kind.role in ("component", "literal") and bool(structure)
            unread = name == "critic" and key in READ_BY_BACKUP and READ_BY_BACKUP[key] not in read
            rare = kind.role == "literal" and not structure and key != "batch" and self.draw(st.integers(0, 3)) < 3
            if key in options or kind.role == "formula" or shaping or unread or rare:
                continue
            text = self._option(cls, key, kind, self._perhaps())
            options |= {} if text is None else {key: text}
        lines = [*lets, *(f"{key} = {text}" for key, text in options.items())]
        if not lines and self._perhaps():
            return ""
        return f"{name} {{ {'  '.join(lines)} }}" if self._perhaps() else f"{name} {{\n" + "\n".join(lines) + "\n}"

    def _mechanisms(self) -> list[type[Component]]:
        possible = self._members("mechanism", self.capabilities)
        if not possible:
            return reject()
        count = self._one_of((1, *range(1, self.most_blocks + 1)))
        chosen = [possible[self._pick("mechanism", possible)] for _ in range(count)]
        for cls in chosen:
            self.capabilities |= cls.provides
            self.trains_critic |= cls.trains == "critic"  # type: ignore[attr-defined]
        return chosen

    def _improve(self, cls: type[Component]) -> str:
        """A block of the mechanism, its own validators and needs met."""
        optional = [name for name, kind in kinds(cls).items() if kind.optional and kind.default in (None, "none")]
        chosen = [name for name in optional if self._perhaps()]
        subsets = [list(s) for n in range(len(optional) + 1) for s in itertools.combinations(optional, n)]
        # a random formula need not use what an option offers it: some tries for the options that were chosen
        for subset in [*[chosen] * 4, *(s for s in subsets if s != chosen)]:
            before, asked = self.declared.copy(), dict(self.including)
            body = self._block(cls, subset)
            if self._block_fits(cls, body):
                return f"improve {self._weight()}{cls.name} {{\n{body}\n}}"
            self.declared, self.including = before, asked
        return reject()

    def _block(self, cls: type[Component], optional: Collection[str]) -> str:
        lets: list[str] = []
        lines: list[str] = []
        for name, kind in kinds(cls).items():
            if kind.optional and kind.default in (None, "none") and name not in optional:
                continue
            if kind.role == "formula":
                written = kind.default in (None, "none") or not self._understands(kind) or self._perhaps()
                text = self.formula(kind.slot, lets) if written else None
            else:
                text = self._option(cls, name, kind, True)
                if text is None and kind.role == "drawn":
                    text = self._drawn(kind)
            lines += [] if text is None else [f"{name} = {text}"]
        return "\n".join([*lets, *lines])

    def _block_fits(self, cls: type[Component], body: str) -> bool:
        """Whether the checker finds nothing wrong with a block, and nothing in it that goes unread."""
        file, _ = parse(f"algorithm x {{ improve {cls.name} {{\n{body}\n}} }}", "generated")
        assert file is not None and file.algorithm is not None, body
        (block,) = file.algorithm.body
        assert isinstance(block, tree.Improve)
        lets = {s.name.id: s for s in block.body if isinstance(s, tree.Let)}
        given = {s.key.id: s.value for s in block.body if isinstance(s, tree.Assign)}
        scope = self._scope()
        built = Options(scope).build(cls, given, _PLACE, Site(cls.name, _PLACE, lets))
        return not scope.diagnostics.errors and not unread(built).keys() & given and built.needs() <= self.capabilities

    def _weight(self) -> str:
        way = self._one_of(("none", "number", "parameter", "schedule"))
        if way == "none":
            return ""
        if way == "schedule":
            return f"({self.component('schedule', POSITIVE, True)}) * "
        return f"{self._parameter(POSITIVE) if way == 'parameter' else self._one_of(('0.5', '2', '(1 / 3)'))} * "

    # --- settings and overrides

    def _head(self, structure: Mapping[str, Mapping[str, str]]) -> list[str]:
        lines = ['paper = "none"'] if self._perhaps() else []
        lines += [f"regime = {self._pick('regime', families()['regime'])}"] if self._perhaps() else []
        learned = [name for name, parameter in self.declared.parameters.items() if parameter.learned is not None]
        targets = ["targets"] if any(_keeps_copies(name, options) for name, options in structure.items()) else []
        return [*lines, f"order = {self.order([*structure, *learned, *targets], learned)}"] if self._perhaps() else lines

    def order(self, parts: list[str], learned: list[str]) -> str:
        """Some order of the parts; what is learned from the policy's measurements stands behind it."""
        mixed = self.draw(st.permutations(parts))
        at = mixed.index("policy")
        early = [name for name in mixed[:at] if name in learned]
        rest = [name for name in mixed[:at] if name not in learned]
        return self._stage([*rest, "policy", *early, *mixed[at + 1 :]])

    def _stage(self, parts: list[str]) -> str:
        if len(parts) == 1:
            text = self._one_of((parts[0], parts[0], f"[{parts[0]}]"))
        else:
            cut = self.draw(st.integers(1, len(parts) - 1))
            groups = [self._stage(parts[:cut]), self._stage(parts[cut:])]
            together = f"[{', '.join(self.draw(st.permutations(groups)))}]"
            apart = self.trains_critic and {"critic", "policy"} <= {*parts}
            text = " -> ".join(groups) if apart else self._one_of((" -> ".join(groups), together))
        return f"every({self.draw(st.integers(2, 3))}, {text})" if self.draw(st.integers(0, 4)) == 4 else text

    def _for_task(self) -> list[str]:
        """Perhaps an override for a task: of the batch, or of a parameter's value."""
        fixed = [p for p in self.declared.parameters.values() if p.schedule is None and p.learned is None]
        changes = [f"train {{ batch = {self.draw(st.integers(2, 4))} }}"]
        changes += [f"param {p.name} = {self._number(None, p.interval):g}" for p in fixed[:1]]
        return [f'for task "Some-v1", "Other-v2" {{ {self._one_of(changes)} }}'] if self._perhaps() else []


@dataclass
class Declared:
    """Parameters and definitions, as lines of the spec and as the checker needs them."""

    lines: list[str] = field(default_factory=list)
    parameters: dict[str, Parameter] = field(default_factory=dict)
    definitions: list[str] = field(default_factory=list)

    def define(self, line: str) -> None:
        self.lines.append(line)
        self.definitions.append(line)

    def copy(self) -> Declared:
        return Declared(list(self.lines), dict(self.parameters), list(self.definitions))


@dataclass(frozen=True)
class Helper:
    """An option of a section, and the components it can hold that provide what another component needs."""

    section: str
    option: str
    family: str
    members: tuple[str, ...]


def _helper(sections: Mapping[str, type[Component]], need: str, provided: Collection[str]) -> Helper | None:
    for section in ("critic", "policy"):
        for name, kind in kinds(sections[section]).items():
            members = members_of(kind.family) if kind.role == "component" else {}
            fitting = [n for n, member in members.items() if need in member.provides and member.requires <= set(provided)]
            if fitting:
                return Helper(section, name, kind.family, tuple(fitting))
    return None


def _helping_families() -> set[str]:
    """Families whose members exist to provide what others need: unread where nothing needs it."""
    needed = {need for cls in members_of("backbone").values() for need in cls.requires}
    return {family for need in needed for family in providers(need)}


def _provided(component: Component) -> frozenset[str]:
    try:
        return provided(component, component.name)
    except (AttributeError, TypeError):
        return component.provides


def _keeps_copies(section: str, options: Mapping[str, str]) -> bool:
    fields = kinds(members_of("section")[section]).items()
    copies = [(name, kind) for name, kind in fields if kind.role == "component" and kind.family == "target"]
    return any(options.get(name, kind.default or "none") != "none" for name, kind in copies)


def _values_of_slots() -> set[str]:
    """Names that mean something in some slot."""
    found = set()
    for members in families().values():
        for cls in members.values():
            shapes = [kind.slot for kind in kinds(cls).values() if kind.slot is not None]
            found |= {name for shape in shapes for name in (*shape.values, *shape.sizes)}
    return found


def _calls(expr: tree.Expr) -> set[str]:
    """Names of the functions an expression calls."""
    match expr:
        case tree.Call(function, arguments):
            return {function.id}.union(*(_calls(argument.value) for argument in arguments))
        case tree.Binary(_, left, right):
            return _calls(left) | _calls(right)
        case tree.Unary(operand):
            return _calls(operand)
    return set()


def _within(value: float, bounds: Mapping[str, float]) -> bool:
    low = value > bounds.get("gt", value - 1) and value >= bounds.get("ge", value)
    return low and value < bounds.get("lt", value + 1) and value <= bounds.get("le", value)


@st.composite
def specs(draw: Draw, including: Mapping[str, str] | None = None, most_blocks: int = 2) -> str:
    """Texts of valid specs over all registered components, plugins included.

    An algorithm of one or two (``most_blocks``) weighted ``improve`` blocks, with parameters that are fixed, scheduled or
    learned, formulas with lets and definitions in their slots, and any order of its stages.  Networks are a few units wide,
    loops a few steps long, so that it compiles in seconds.  ``including`` asks for components by family, such as
    ``{"backbone": "diffusion", "mechanism": "selection"}``, which must fit together: each stands at the first place that is
    drawn for its family.
    """
    families()
    return SpecWriter(draw, dict(including or {}), most_blocks).spec()
