"""Components: the vocabulary of a spec, with the options, capabilities and requirements of each; the plugin mechanism.

A component is a frozen pydantic model.  Its fields are its options; its class variables give its family and name::

    @register
    class Cosine(NoiseSchedule):
        \"\"\"Equation, paper.\"\"\"
        name = "cosine"
        s: float = Field(0.008, gt=0, description="offset that keeps the noise finite at t = 0")

Registration happens when the file is imported.  Of the package's own, ``flowrl_dsl/components/<family>s/<name>.py`` is,
when it is first asked for; and at the first question so is every module behind an entry point of the group
``flowrl_dsl.components``.  Families that no spec names have homes of their own (:data:`HOMES`).
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, Field
from pydantic.fields import FieldInfo

from flowrl_dsl.diagnostics import Diagnostic
from flowrl_dsl.formula import Formula, Function, Slot
from flowrl_dsl.plugins import load_plugins

if TYPE_CHECKING:
    from flowrl_dsl.algorithm import Position


class Component(BaseModel):
    """Base of everything a spec can name.  Instances are immutable and compare by value."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    family: ClassVar[str] = ""
    name: ClassVar[str] = ""
    paper: ClassVar[str] = ""
    provides: ClassVar[frozenset[str]] = frozenset()
    requires: ClassVar[frozenset[str]] = frozenset()
    asks: ClassVar[tuple[str, ...]] = ()
    """Options and class variables that the rest of a program reads from every member of the family."""
    offers: ClassVar[Mapping[str, str]] = MappingProxyType({})
    """The method behind a capability: a member that provides the one overrides the other."""

    samples_source: ClassVar[bool] = True
    """Whether it draws actions from the policies that its options name; otherwise it evaluates their networks alone."""
    of_source: ClassVar[Mapping[str, frozenset[str]]] = MappingProxyType({})
    """What it requires of the policy that an option draws from, by option."""
    passes: ClassVar[frozenset[str] | None] = None
    """Of a component that stands between its section and the rest of the algorithm: the capabilities of the section's other
    parts that are those of the whole; None for one that does not."""
    alternatives: ClassVar[tuple[frozenset[str], ...]] = ()
    """Options of which one is set: a derived spec or an override that sets one replaces the others of its base."""

    quiet: ClassVar[frozenset[str]] = frozenset()
    """Options that resolved texts leave out where they are none, so that those of specs without them stay as they were."""

    @classmethod
    def replaced(cls, option: str) -> frozenset[str]:
        """The options that setting this one replaces."""
        return frozenset().union(*(group for group in cls.alternatives if option in group)) - {option}

    def capabilities(self) -> frozenset[str]:
        """The capabilities this instance provides; override if they depend on the options."""
        return self.provides

    def needs(self) -> frozenset[str]:
        """The capabilities this instance requires; override if they depend on the options."""
        return self.requires

    def unread(self) -> dict[str, str]:
        """Options that are unused given the values of the others, each with the reason."""
        return {}

    def idle(self, at: Position) -> dict[str, str]:
        """Options that have no effect in this algorithm, each with the reason: a warning (FRL0319) where one is written."""
        return {}

    def errors(self, at: Position) -> Iterator[Diagnostic]:
        """What contradicts other parts of an algorithm that is valid option by option, and no capability expresses."""
        return iter(())

    def warnings(self, at: Position) -> Iterator[Diagnostic]:
        """A ``diagnostics.warning`` for valid options that are probably not meant; without a place, it is not reported."""
        return iter(())


@dataclass(frozen=True)
class Copy:
    """A copy of a section's parameters, kept where ``option`` is given.

    ``group`` is its name in the state and ``provides`` the capability to read it; ``{}`` in them stands for the name of the
    section.  ``example`` is a value of the option that messages propose.  One that is not of ``parameters`` is of other
    parts of the section's state, and functions of formulas cannot read it.
    """

    option: str
    group: str
    provides: str
    example: str
    parameters: bool = True


class SectionKind(Component):
    """The declaration of a kind of section.

    ``stage`` is its place in the default order; None for one with nothing to learn.  One that is ``implied`` is there where
    a spec does not write it.  ``functions`` are what formulas may call of it, ``copies`` the copies that its options keep.
    Actions can be drawn from one that ``acts``, and from its copies.  Policies and critics read the embeddings of one that
    ``encodes``.  An algorithm may have several that are ``named``, each under a name of its own.  ``lengths`` maps axes
    that its functions add to the options that are their lengths.  ``shape`` are the options that decide which parameters it
    has: where two sections of a kind agree in them, the parameters of one can be copied into the other.
    """

    family: ClassVar[str] = "section"
    stage: ClassVar[int | None] = None
    implied: ClassVar[bool] = False
    functions: ClassVar[tuple[Function, ...]] = ()
    copies: ClassVar[tuple[Copy, ...]] = ()
    acts: ClassVar[bool] = False
    encodes: ClassVar[bool] = False
    named: ClassVar[bool] = False
    lengths: ClassVar[Mapping[str, str]] = MappingProxyType({})
    shape: ClassVar[tuple[str, ...]] = ()

    @property
    def trains(self) -> bool:
        """Whether it has parameters that its stage trains."""
        return True

    def kept(self, owner: str) -> dict[str, Copy]:
        """The copies that this section keeps under the name ``owner``, by their groups."""
        return {copy.group.format(owner): copy for copy in self.copies if getattr(self, copy.option) is not None}


class Scalar(BaseModel):
    """A number that is an input of the compiled program, so that changing it does not recompile.

    ``name`` is the name of that input: the path of the option (``policy.optimizer.learning_rate``) or the parameter the
    option was set to (``temperature``).  ``value`` is None when the name is a parameter's.  A schedule makes it a
    function of the update counter.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    name: str
    value: float | None = None
    schedule: Component | None = None


@dataclass(frozen=True)
class Interval:
    """The numbers a scalar may take."""

    low: float = float("-inf")
    high: float = float("inf")
    low_open: bool = True
    high_open: bool = True

    def __contains__(self, value: float) -> bool:
        above = value > self.low if self.low_open else value >= self.low
        below = value < self.high if self.high_open else value <= self.high
        return above and below

    def __str__(self) -> str:
        return f"{'(' if self.low_open else '['}{self.low:g}, {self.high:g}{')' if self.high_open else ']'}"


POSITIVE = Interval(low=0.0)
NOT_NEGATIVE = Interval(low=0.0, low_open=False)
UNIT = Interval(low=0.0, high=1.0, low_open=False, high_open=False)
ANY = Interval()

T = TypeVar("T")


class Drawn(BaseModel, Generic[T]):
    """``64 from old_policy``: a count, or a way to choose an action, and the policy it draws from.

    ``0.5 from energy``, a ``Drawn[Scalar]``: a number, and the section or copy whose values it scales.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    value: T
    source: str = "policy"


def option(description: str, default: str | None = None, interval: Interval = ANY, scales: str = "") -> Any:
    """A field whose value is written in the language: a component, a scalar, or ``Drawn``.

    ``default`` is spec text (``"mlp([256, 256])"``), resolved like text a user wrote; None makes the option required
    unless the field admits None.  ``scales`` is the function of formulas whose values a ``Drawn[Scalar]`` scales.
    """
    return _field(description, default, interval=interval, scales=scales)


def slot(description: str, shape: Slot, default: str | None = None) -> Any:
    """A field that holds a :class:`~flowrl_dsl.formula.Formula`; ``shape`` is what it sees and must give."""
    return _field(description, default, slot=shape)


def _field(description: str, default: str | None, **extra: Any) -> Any:
    noted: Any = {"default": default, **extra}  # pydantic expects JSON here but does not print it
    return Field(description=description, json_schema_extra={"flowrl": noted})


def language_of(info: FieldInfo) -> dict[str, Any] | None:
    """What :func:`option` or :func:`slot` noted on a field; None for a plain literal field."""
    extra = info.json_schema_extra
    return extra.get("flowrl") if isinstance(extra, dict) else None  # type: ignore[return-value]


HOMES = {"world": "flowrl_dsl.runtime.worlds", "turn": "flowrl_dsl.runtime.turns"}
"""The packages of families that the runtime asks for and no spec names; some of their files import simulators."""

_REGISTRY: dict[str, dict[str, type[Component]]] = {}

C = TypeVar("C", bound=type[Component])


def register(component: C) -> C:
    """Class decorator.

    Raises ``ValueError`` for a name that is missing or already taken, and for a component that lacks what its family asks
    for (abstract methods, ``asks``, the methods that it ``offers``): mistakes of the component's author.
    """
    family, name, module = component.family, component.name, component.__module__
    if not family or not name:
        raise ValueError(f"{component.__qualname__} must set the class variables family and name")
    taken = _REGISTRY.setdefault(family, {}).get(name)
    owner = taken.__module__ if taken is not None else _shipped(family, name) or module
    if owner != module:
        raise ValueError(f'{family} "{name}" is already registered by {owner}')
    if lacking := list(_lacking(component)):
        raise ValueError(f'{family} "{name}" is incomplete: it lacks {", ".join(lacking)}')
    _REGISTRY[family][name] = component
    return component


def _lacking(component: type[Component]) -> Iterator[str]:
    """The requirements of its family that a component does not meet."""
    yield from (f"the method {method}" for method in sorted(component.__abstractmethods__))
    for name in component.asks:
        if name not in component.model_fields and not hasattr(component, name):
            yield f"the option or class variable {name}"
    for capability, method in component.offers.items():
        declared = next(cls for cls in reversed(component.__mro__) if method in vars(cls))
        if capability in component.provides and getattr(component, method) is vars(declared)[method]:
            yield f"the method {method}, which providing {capability} takes"


@cache
def _shipped(family: str, name: str = "") -> str:
    """The module of a family of the package, or of one component in it; empty if there is no such file."""
    home = HOMES.get(family, f"flowrl_dsl.components.{family}s")
    is_there = (_folder(home) / f"{name or '__init__'}.py").is_file()
    return (f"{home}.{name}" if name else home) if is_there else ""


def _folder(package: str) -> Path:
    return Path(__file__).parent.parent.joinpath(*package.split("."))


@cache
def _load_family(module: str) -> None:
    for found in pkgutil.iter_modules(importlib.import_module(module).__path__, module + "."):
        importlib.import_module(found.name)


@cache
def _load_families() -> None:
    import flowrl_dsl.components as package

    for folder in pkgutil.iter_modules(package.__path__, package.__name__ + "."):
        if folder.ispkg:
            _load_family(folder.name)


def find(family: str, name: str) -> type[Component] | None:
    """One component; of the package's own, only its file is imported."""
    load_plugins()
    shipped = _shipped(family, name)
    if shipped:
        importlib.import_module(shipped)
    return _REGISTRY.get(family, {}).get(name)


def members_of(family: str) -> dict[str, type[Component]]:
    """The components of one family by name, in the order of the names: that of their imports depends on who asked first."""
    load_plugins()
    shipped = _shipped(family)
    if shipped:
        _load_family(shipped)
    return dict(sorted(_REGISTRY.get(family, {}).items()))


def names_of(family: str) -> set[str]:
    """Names of the components of one family; none of the package's own files is imported."""
    load_plugins()
    home = _shipped(family)
    files = _folder(home).glob("*.py") if home else ()
    return {file.stem for file in files if "\n@register\n" in file.read_text()} | set(_REGISTRY.get(family, {}))


def families() -> dict[str, dict[str, type[Component]]]:
    """All registered components that specs can name, ``members_of(family)[name]``."""
    load_plugins()
    _load_families()
    return {family: dict(sorted(members.items())) for family, members in sorted(_REGISTRY.items()) if family not in HOMES}


def sections() -> dict[str, type[SectionKind]]:
    """The kinds of sections by name."""
    # the mro, because `issubclass` of abstract classes is slow and every block of a spec asks
    found: Any = members_of("section")
    return {name: cls for name, cls in found.items() if SectionKind in cls.__mro__}


def functions() -> dict[str, Function]:
    """The functions of networks that formulas may call, by name."""
    return {function.name: function for cls in sections().values() for function in cls.functions}


def visible(slot: Slot) -> dict[str, Function]:
    """The functions that a slot sees."""
    return {name: f for name, f in functions().items() if name in slot.functions or f.beside in slot.functions}


def stages() -> list[str]:
    """The kinds of sections that move, in the order in which they do unless a spec says otherwise."""
    moving = {name: cls.stage for name, cls in sections().items() if cls.stage is not None}
    return sorted(moving, key=lambda name: (moving[name], name))


def providers(capability: str) -> dict[str, list[str]]:
    """Names of the components that provide a capability, by family."""
    found: dict[str, list[str]] = {}
    for family, members in sorted(families().items()):
        names = sorted(name for name, component in members.items() if capability in component.provides)
        if names:
            found[family] = names
    return found


__all__ = [
    "ANY",
    "HOMES",
    "NOT_NEGATIVE",
    "POSITIVE",
    "UNIT",
    "Component",
    "Copy",
    "Drawn",
    "Formula",
    "Interval",
    "Scalar",
    "SectionKind",
    "Slot",
    "families",
    "find",
    "functions",
    "language_of",
    "members_of",
    "names_of",
    "option",
    "providers",
    "register",
    "sections",
    "slot",
    "stages",
    "visible",
]
