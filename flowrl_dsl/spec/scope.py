"""The shared context of the checks of one algorithm: its declarations, their uses, and the diagnostics."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from flowrl_dsl.algorithm import Origin, Parameter
from flowrl_dsl.axes import Axes
from flowrl_dsl.copies import Readable, readable, sources
from flowrl_dsl.diagnostics import Diagnostics, Span
from flowrl_dsl.registry import Component
from flowrl_dsl.spec.text import text_of
from flowrl_dsl.syntax import tree

SET_FILE = "--set"


@dataclass(frozen=True)
class Site:
    """The place of a value in the algorithm.

    ``path`` names it (``policy.sampler.steps``), ``owner`` is the smallest thing somebody wrote that holds it, and
    ``default`` is the default it comes from (``backup = r + ...``), empty for a value that was written.
    """

    path: str
    owner: Span
    lets: Mapping[str, tree.Let] = field(default_factory=dict)
    default: str = ""
    in_schedule: bool = False

    def child(self, name: str) -> Site:
        return replace(self, path=f"{self.path}.{name}")

    def written(self, span: Span) -> Site:
        """The site of something written at ``span``; what stands in a default belongs to the default's owner."""
        return self if self.default else replace(self, owner=span)

    def at(self, span: Span) -> Span:
        """Where to point for something at ``span``: a default has no place in the user's file, its owner has."""
        return self.owner if self.default else span


@dataclass(frozen=True)
class Reached:
    """A component of the algorithm: where it stands, and the place to point at."""

    component: Component
    path: str
    span: Span


@dataclass(frozen=True)
class Required:
    """Something other than a component that needs a capability: a function of a formula, or a copy (``source``).

    ``how`` the copy is used completes "SUBJECT ... SOURCE".  ``owner`` is the section of which the capability is needed;
    empty for that of the site.
    """

    subject: str
    capability: str
    site: Site
    span: Span
    source: str = ""
    how: str = "draws from"
    owner: str = ""


@dataclass(frozen=True)
class Whole:
    """All members of the ensemble of a section: that of a ``function``, of the section ``owner`` if that is named."""

    function: str
    owner: str = ""


@dataclass(frozen=True)
class Members:
    """Members taken from a whole ensemble: how many, or which one, and where that is written."""

    function: str
    count: int
    site: Site
    span: Span
    whole: Whole


@dataclass(frozen=True)
class Meeting:
    """Whole ensembles of several sections that meet in an expression, so that they need as many members."""

    wholes: tuple[Whole, ...]
    site: Site
    span: Span


@dataclass
class Scope:
    """The declarations of one algorithm, and the results of its checks so far."""

    diagnostics: Diagnostics
    parameters: dict[str, Parameter] = field(default_factory=dict)
    lets: dict[str, tree.Let] = field(default_factory=dict)
    defines: dict[str, tree.Define] = field(default_factory=dict)
    library: str = ""
    sources: dict[str, str] = field(default_factory=sources)
    """What actions can be drawn from; of a copy with the capability that its section provides where it keeps it."""
    readable: dict[str, Readable] = field(default_factory=readable)
    """What ``from`` in a formula can name."""
    owners: dict[str, str] = field(default_factory=dict)
    """The section that each ``improve`` block improves, by label."""
    applied: tuple[tree.ForTask, ...] = ()
    complete: bool = True
    """Whether every declaration and option could be read.  Where not, nothing is reported as missing or unknown."""
    origins: dict[str, Origin] = field(default_factory=dict)
    used: set[tuple[str, Span]] = field(default_factory=set)
    axes: dict[Span, Axes] = field(default_factory=dict)
    """The axes of the expressions of formulas that stand in a spec, outside of definitions."""
    reached: list[Reached] = field(default_factory=list)
    places: dict[str, Reached] = field(default_factory=dict)
    """The first component reached at each path."""
    parts: dict[str, list[Reached]] = field(default_factory=dict)
    """The components below each section, in order."""
    required: list[Required] = field(default_factory=list)
    members: list[Members] = field(default_factory=list)
    meetings: list[Meeting] = field(default_factory=list)
    maybe: set[str] = field(default_factory=set)
    """Capabilities that parts with errors might have provided; nobody is told that they are missing."""

    def error(self, code: str, message: str, site: Site, span: Span, *notes: str) -> None:
        """Report at the span, or at the owner of the default that holds it."""
        default = f"in the default `{site.default}`" if site.default else ""
        self.diagnostics.error(code, message, site.at(span), *notes, default)

    def use(self, kind: str, node: tree.Param | tree.Let | tree.Define | Parameter) -> None:
        """Note that a declaration is read by something."""
        if node.span is not None:
            self.used.add((kind, node.span))

    def record(self, site: Site, value: tree.Expr | str) -> None:
        """Record the value of an option and its source."""
        text = value if isinstance(value, str) else text_of(value)
        span = None if isinstance(value, str) else value.span
        self.origins[site.path] = Origin(text=text, source=self.source(site, span), span=site.at(span or site.owner))

    def reach(self, reached: Reached) -> None:
        """Note a component of the algorithm."""
        self.reached.append(reached)
        self.places.setdefault(reached.path, reached)
        owner, _, below = reached.path.partition(".")
        if below:
            self.parts.setdefault(owner, []).append(reached)

    def forget(self, path: str) -> None:
        """Drop the records for a path and all paths below it."""

        def kept(other: str) -> bool:
            return other != path and not other.startswith(path + ".")

        self.origins = {other: origin for other, origin in self.origins.items() if kept(other)}
        self.reached = [reached for reached in self.reached if kept(reached.path)]
        self.places = {other: reached for other, reached in self.places.items() if kept(other)}
        owner = path.partition(".")[0]
        self.parts[owner] = [reached for reached in self.parts.get(owner, ()) if kept(reached.path)]
        self.required = [required for required in self.required if kept(required.site.path)]

    def source(self, site: Site, span: Span | None) -> str:
        """``default``, ``--set``, ``task "..."`` or the file."""
        if site.default or span is None:
            return "default"
        for block in self.applied:
            if inside(span, block.span):
                return "task " + ", ".join(f'"{task.value}"' for task in block.tasks)
        return span.file


def inside(inner: Span, outer: Span) -> bool:
    """Whether one span lies within another."""
    starts = (outer.line, outer.column) <= (inner.line, inner.column)
    ends = (inner.end_line, inner.end_column) <= (outer.end_line, outer.end_column)
    return inner.file == outer.file and starts and ends
