"""A file becomes a checked algorithm: merging, building, and every check, with all errors at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

from flowrl_dsl.algorithm import Algorithm, order_of_phases
from flowrl_dsl.copies import readable, sources
from flowrl_dsl.diagnostics import Diagnostic, Diagnostics
from flowrl_dsl.registry import sections
from flowrl_dsl.spec import compatibility
from flowrl_dsl.spec.applies import applies
from flowrl_dsl.spec.blocks import read_improvements, read_sections
from flowrl_dsl.spec.check import Check
from flowrl_dsl.spec.declarations import declare, drop_unused_inherited, report_unused
from flowrl_dsl.spec.lint import lint
from flowrl_dsl.spec.load import Loader, located
from flowrl_dsl.spec.merge import Statements, apply_task, merge
from flowrl_dsl.spec.moves import read_order
from flowrl_dsl.spec.options import FAILED
from flowrl_dsl.spec.overrides import Override, apply, read_sets
from flowrl_dsl.spec.phases import check_options, read_phases
from flowrl_dsl.spec.scope import Scope, inside
from flowrl_dsl.spec.settings import paper_of, read_regime
from flowrl_dsl.syntax import tree


@dataclass(frozen=True)
class Resolution:
    """The result of resolving a spec.

    ``algorithm`` is None exactly when ``diagnostics`` holds an error; ``sources`` has the text of every file that a
    diagnostic may point into.  ``scopes`` are what was found about the spec itself and, behind it, about its variants for
    other tasks.
    """

    algorithm: Algorithm | None
    diagnostics: Diagnostics
    sources: dict[str, str]
    scopes: tuple[Scope, ...] = ()


def resolve(
    path: str,
    *,
    task: str | None = None,
    sets: Sequence[str] = (),
    data: str | None = None,
    opened: Mapping[str, str] = MappingProxyType({}),
    overrides: Sequence[Override] = (),
    loader: Loader | None = None,
) -> Resolution:
    """Read and check the spec ``path`` as it stands for ``task`` with ``overrides``, and then ``sets`` (``key=value``).

    The names of a ``for task`` block are compared with the task and with the name of the data set, ``data``.  ``opened``
    has the texts of files that are not read, by path.

    Never raises for what a user wrote.  Overrides for other tasks are checked as well.
    The ``loader`` may have read the file.
    """
    loader = loader or Loader(Diagnostics(), opened=opened)
    diagnostics = loader.diagnostics
    scopes: tuple[Scope, ...] = ()
    try:
        algorithm, scopes = _resolve(loader, path, task, sets, data, overrides)
    except RecursionError:
        diagnostics.error("FRL0229", "the spec is nested too deeply to be checked", None)
        algorithm = None
    return Resolution(None if diagnostics.errors else algorithm, diagnostics, loader.sources, scopes)


def _resolve(
    loader: Loader, path: str, task: str | None, sets: Sequence[str], data: str | None, given: Sequence[Override]
) -> tuple[Algorithm | None, tuple[Scope, ...]]:
    diagnostics = loader.diagnostics
    main = located(path)
    chain = loader.chain(main, tree.Algorithm)
    if chain is None:
        return None, ()
    statements = merge(chain, diagnostics)
    complete = statements.whole and all(block.complete for block in statements.tasks)
    statements.tasks = [block for block in statements.tasks if block.complete]
    blocks = [block for block in statements.tasks if applies(block.patterns, task, data)]
    chosen = _for_task(statements, blocks, diagnostics)
    overrides = [*given, *read_sets(sets, diagnostics, loader.sources)] if complete else []
    edited = apply(chosen, overrides, diagnostics)
    changed = bool(given or sets)
    checked = _checked(Check(edited, main, Scope(diagnostics, applied=tuple(edited.applied)), changed, task))
    text = loader.sources.get(main, "")
    others = _elsewhere(statements, blocks, main, text, diagnostics, chosen if changed else None)
    if complete:
        report_unused(checked, checked.scope.used.union(*(scope.used for scope in others)))
    if not diagnostics.errors:
        diagnostics.extend(lint(checked, text))
    return checked.algorithm, (checked.scope, *others)


def _for_task(statements: Statements, blocks: Sequence[tree.ForTask], diagnostics: Diagnostics) -> Statements:
    for block in blocks:
        statements = apply_task(statements, block, diagnostics)
    return statements.copy()


def _elsewhere(
    statements: Statements,
    chosen: list[tree.ForTask],
    main: str,
    text: str,
    diagnostics: Diagnostics,
    unset: Statements | None,
) -> list[Scope]:
    """Check the file's own blocks for other tasks, keeping what is found because of them.

    Returns the scopes of those variants, and that of the algorithm without overrides (``unset``).
    """
    others = [block for block in statements.tasks if block not in chosen and block.span.file == main]
    plain = Diagnostics()
    if others:
        _checked(Check(statements, main, Scope(plain), False))
    scopes = []
    for block in others:
        own = Diagnostics()
        variant = apply_task(statements, block, own)
        checked = _checked(Check(variant, main, Scope(own, applied=(block,)), False))
        scopes.append(checked.scope)
        if not own.errors:
            own.extend(lint(checked, text))
        diagnostics.extend(_because_of(block, own, plain))
    if unset is not None:
        scopes.append(_checked(Check(unset, main, Scope(Diagnostics(), applied=tuple(unset.applied)), False)).scope)
    return scopes


def _because_of(block: tree.ForTask, own: Diagnostics, plain: Diagnostics) -> list[Diagnostic]:
    """The errors inside a block, and the errors elsewhere that occur only when the block is applied."""
    names = ", ".join(f'"{name.value}"' for name in block.tasks)
    found = []
    for diagnostic in own:
        if diagnostic.span is not None and inside(diagnostic.span, block.span):
            found.append(diagnostic)
        elif diagnostic.severity == "error" and not plain.errors:
            found.append(replace(diagnostic, notes=(*diagnostic.notes, f"for task {names}")))
    return found


def _checked(check: Check) -> Check:
    """Check everything; ``algorithm`` is filled in even after errors, as far as it could be made out.

    After a syntax error each block that is complete is checked by itself; what depends on all blocks is not checked.
    """
    check.scope.complete = check.statements.complete
    declare(check)
    known = sections()
    blocks = check.statements.sections.items()
    named = {owner: known[block.name.id] for owner, block in blocks if block.name.id in known}
    check.scope.sources, check.scope.readable = sources(named), readable(named)
    regime = read_regime(check)
    read_sections(check)
    improvements = tuple(read_improvements(check))
    check_options(check)
    if not check.statements.whole:
        return check
    drop_unused_inherited(check)
    compatibility.check(check.scope)
    parameters = check.scope.parameters
    phases = read_phases(check, improvements, acts=getattr(regime, "acts", False))
    order = order_of_phases(phases) if phases else read_order(check, improvements)
    if regime is not FAILED and not check.scope.diagnostics.errors:
        check.algorithm = Algorithm(
            name=check.statements.name.id,
            title=check.statements.title,
            paper=paper_of(check),
            regime=regime,
            order=order,
            sections=check.sections,
            parameters=parameters,
            improvements=improvements,
            origins=check.scope.origins,
            task=check.task,
            phases=phases,
        )
    return check
