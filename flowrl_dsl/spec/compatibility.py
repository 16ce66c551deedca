"""Compatibility of the components of an algorithm: some component must provide each required capability."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from flowrl_dsl.algorithm import POLICY
from flowrl_dsl.capabilities import CAPABILITIES
from flowrl_dsl.registry import Component, Drawn, SectionKind, providers, sections
from flowrl_dsl.spec.kinds import kinds
from flowrl_dsl.spec.scope import Reached, Required, Scope, Whole
from flowrl_dsl.spec.text import exceeds, plural
from flowrl_dsl.syntax import tree


def check(scope: Scope) -> None:
    """Report every unmet requirement and every unnecessary sampler."""
    _check_members(scope)
    acting = _acting(scope)
    silent = set().union(*(_unused_sampler(owner, scope) for owner in acting))
    drawn = {(r.site.path.split(".")[0], r.capability) for r in scope.required if r.source}
    inside, policies = _available(acting, scope), _policies(acting, scope)
    available = {owner: found - _kept_back(owner, scope).keys() for owner, found in inside.items()}
    sampling = [reached for reached in scope.reached if reached.component.samples_source]
    choosing = {path: owner for reached in sampling for path, owner in _drawn_from(reached, policies).items()}
    sampled = {POLICY, *choosing.values(), *_sampling_themselves(acting, scope)}
    for required in scope.required:
        owner = required.owner if required.owner in available else _owner(required.site.path, acting, scope)
        if required.capability not in available[owner]:
            _report_required(required, owner, scope)
    for reached in scope.reached:
        if reached.path in silent:
            continue
        owner = choosing.get(reached.path) or _owner(reached.path, acting, scope)
        there = inside if reached.path.startswith(f"{owner}.") else available
        for capability in sorted(needs(reached.component, scope) - there[owner]):
            to_sample = reached.path == f"{owner}.backbone" and providers(capability).keys() == {"sampler"}
            if (reached.path.split(".")[0], capability) not in drawn and not (to_sample and owner not in sampled):
                _report_need(reached, capability, owner, scope)
        for path, owner in _drawn_from(reached, policies).items():
            wanted = reached.component.of_source.get(path.rpartition(".")[2], frozenset())
            for capability in sorted(wanted - available[owner]):
                _report_need(reached, capability, owner, scope)


def _sampling_themselves(acting: Collection[str], scope: Scope) -> set[str]:
    """The policies with an ``improve`` block that draws from the policy that it improves."""
    drawing = [r.path for r in scope.reached if needs(r.component, scope) & getattr(r.component, "drawing", frozenset())]
    return {_owner(path, acting, scope) for path in drawing}


def _acting(scope: Scope) -> dict[str, None]:
    """The sections that have a policy, in order."""
    acting = [r.path for r in scope.reached if isinstance(r.component, SectionKind) and r.component.acts]
    return dict.fromkeys(acting or [POLICY])


def _owner(path: str, acting: Collection[str], scope: Scope) -> str:
    """The policy that the component at a path belongs to or serves."""
    head = path.partition(".")[0]
    owner = scope.owners.get(head, head)
    return owner if owner in acting else POLICY


def _policies(acting: Collection[str], scope: Scope) -> dict[str, str]:
    """The policy that each source of actions is, or is a copy of."""
    found: dict[str, str] = {}
    for owner in acting:
        section = scope.places.get(owner)
        copies = section.component.kept(owner) if section and isinstance(section.component, SectionKind) else {}
        found |= dict.fromkeys((owner, *copies), owner)
    return found


def _drawn_from(reached: Reached, policies: Mapping[str, str]) -> dict[str, str]:
    """The policies that a component draws actions from, directly or through a copy, by option path."""
    component, found = reached.component, {}
    for name, kind in kinds(type(component)).items():
        value = getattr(component, name, None) if kind.role == "drawn" else None
        if isinstance(value, Drawn) and value.source in policies:
            found[f"{reached.path}.{name}"] = policies[value.source]
    return found


def _available(acting: Collection[str], scope: Scope) -> dict[str, set[str]]:
    """Capabilities available to each policy and the components that serve it; of other policies only their copies."""
    shared, own = set(scope.maybe), {owner: set[str]() for owner in (POLICY, *acting)}
    for reached in scope.reached:
        head = reached.path.partition(".")[0]
        owner = scope.owners.get(head, head)
        (own[owner] if owner in acting else shared).update(_capabilities(reached, scope))
        if isinstance(reached.component, SectionKind):
            shared |= {copy.provides.format(head) for copy in reached.component.kept(head).values()}
    return {owner: shared | found for owner, found in own.items()}


def _kept_back(owner: str, scope: Scope) -> dict[str, Component]:
    """The capabilities of the parts of a section that one of them, named with each, does not pass on to others."""
    parts = scope.parts.get(owner, ())
    found: dict[str, Component] = {}
    for between in parts:
        passed = between.component.passes
        if passed is not None:
            others = (part for part in parts if part is not between)
            found |= dict.fromkeys(set().union(*(_capabilities(part, scope) for part in others)) - passed, between.component)
    return found


def _check_members(scope: Scope) -> None:
    """Report members that their ensemble does not have, and ensembles of different sizes that meet."""
    sizes, having = _lengths("ensemble", scope), _sections_with_functions(scope)
    for asked in scope.members:
        owner = _section_of(asked.whole, having)
        path, size = sizes.get(owner, ("", asked.count))
        if asked.count > size:
            message = exceeds(asked.function, size, asked.count)
            scope.error("FRL0214", message, asked.site, asked.span, f"{path} is {size}")
    for meeting in scope.meetings:
        owners = dict.fromkeys(_section_of(whole, having) for whole in meeting.wholes)
        known = {owner: sizes[owner][1] for owner in owners if owner in sizes}
        if len({*known.values()}) > 1:
            words = " and ".join(f"the {size} members of {owner}" for owner, size in known.items())
            message = f"{words} meet: the ensembles have different lengths"
            scope.error("FRL0257", message, meeting.site, meeting.span, "reduce each over ensemble first")


def _sections_with_functions(scope: Scope) -> dict[str, dict[str, None]]:
    """The sections that have each function, in order."""
    found: dict[str, dict[str, None]] = {}
    for reached in scope.reached:
        if isinstance(reached.component, SectionKind):
            for function in reached.component.functions:
                found.setdefault(function.name, {})[reached.path] = None
    return found


def _section_of(whole: Whole, having: Mapping[str, Mapping[str, None]]) -> str:
    """The section whose ensemble this is: the named one if it has the function, otherwise the first that has."""
    sections = having.get(whole.function, {})
    return whole.owner if whole.owner in sections else next(iter(sections), "")


def _lengths(axis: str, scope: Scope) -> dict[str, tuple[str, int]]:
    """The options that are the length of an axis, with their paths, by section; not those with an error."""
    wrong, found = {diagnostic.span for diagnostic in scope.diagnostics.errors}, {}
    for reached in scope.reached:
        option = reached.component.lengths.get(axis) if isinstance(reached.component, SectionKind) else None
        path = f"{reached.path}.{option}"
        if option is not None and path in scope.origins and scope.origins[path].span not in wrong:
            found[reached.path] = (path, getattr(reached.component, option))
    return found


def check_unread(component: Component, what: str, written: Mapping[str, tree.Assign], scope: Scope) -> None:
    """Report explicit options that are unused given the other options; ``what`` names their owner.

    An option set to none has nothing to read: it takes back that of a base.
    """
    if not scope.complete:
        return
    for option, reason in unread(component).items():
        if option in written and getattr(component, option, None) is not None:
            message = f'"{what}.{option}" goes unread: {reason}'
            scope.diagnostics.error("FRL0226", message, written[option].span, "leave it out")


def unread(component: Component) -> Mapping[str, str]:
    """The unused options of a component; undetermined for one rebuilt after an error."""
    try:
        return component.unread()
    except (AttributeError, TypeError):
        return {}


def written_out(component: Component, names: Iterable[str]) -> list[str]:
    """Of these options, those that a resolved text contains: not the unused ones, nor quiet ones that are none."""
    silent = {*unread(component), *(name for name in component.quiet if getattr(component, name, None) is None)}
    return [name for name in names if name not in silent]


def provided(component: Component, owner: str) -> frozenset[str]:
    """The capabilities of a component; a section named ``owner`` also provides its copies."""
    copies = component.kept(owner).values() if isinstance(component, SectionKind) else ()
    return component.capabilities() | {copy.provides.format(owner) for copy in copies}


def _capabilities(reached: Reached, scope: Scope) -> frozenset[str]:
    """The capabilities of a component; those of its class if it was rebuilt after an error."""
    component = reached.component
    try:
        return provided(component, reached.path)
    except (AttributeError, TypeError):
        if not scope.diagnostics.errors:
            raise
        return component.provides


def needs(component: Component, scope: Scope) -> frozenset[str]:
    """The requirements of a component; undetermined for one rebuilt after an error."""
    try:
        return component.needs()
    except (AttributeError, TypeError):
        if not scope.diagnostics.errors:
            raise
        return component.requires


def _unused_sampler(owner: str, scope: Scope) -> set[str]:
    """Report a sampler whose backbone draws actions by itself; the paths of samplers to say nothing more about."""
    backbone, sampler = scope.places.get(f"{owner}.backbone"), scope.places.get(f"{owner}.sampler")
    if backbone is None or sampler is None or type(backbone.component) is Component:
        return set()
    wanted = needs(backbone.component, scope)
    if wanted & _capabilities(sampler, scope):
        return set()
    if not any("sampler" in providers(capability) for capability in wanted):
        name = backbone.component.name
        message = f'sampler "{sampler.component.name}" goes unread: backbone "{name}" draws its actions without one'
        scope.diagnostics.error("FRL0226", message, sampler.span, "leave `sampler` out, or choose another backbone")
    return {sampler.path}


def _report_need(reached: Reached, capability: str, owner: str, scope: Scope) -> None:
    place = reached.span
    if reached.path == f"{owner}.backbone":
        sampler = scope.places.get(f"{owner}.sampler")
        place = sampler.span if sampler is not None else place
    message = f"{_subject(reached.component)} needs {capability}, which {_lacking(capability, owner, scope)}"
    scope.diagnostics.error("FRL0212", message, place, _doc(capability), _cure(capability, owner, scope))


def _report_required(required: Required, owner: str, scope: Scope) -> None:
    if required.source:
        lacking, cure = _keeper(required.capability, scope) or ("nothing keeps", "")
        message = f'"{required.subject}" {required.how} {required.source}, which {lacking}'
        scope.error("FRL0220", message, required.site, required.span, cure)
        return
    capability = required.capability
    message = f"{required.subject} needs {capability}, which {_lacking(capability, owner, scope)}"
    scope.error("FRL0212", message, required.site, required.span, _doc(capability), _cure(capability, owner, scope))


def _subject(component: Component) -> str:
    if component.family in ("mechanism", "action", "adaptation"):
        return component.name
    return f'{component.family.replace("_", " ")} "{component.name}"'


def _lacking(capability: str, owner: str, scope: Scope) -> str:
    """The components that could provide a missing capability but do not."""
    if kept := _keeper(capability, scope):
        return kept[0]
    families = set(providers(capability))
    if families and families <= {"mechanism"}:
        return "no improve block provides"
    backbone, sampler = scope.places.get(f"{owner}.backbone"), scope.places.get(f"{owner}.sampler")
    if backbone is None or type(backbone.component) is Component:
        return "nothing provides"
    if between := _kept_back(owner, scope).get(capability):
        return f'{owner} does not provide with {between.family} "{between.name}"'
    if sampler is None:
        missing = families == {"sampler"}
        return "no sampler provides" if missing else f'backbone "{backbone.component.name}" does not provide'
    if families == {"sampler"}:
        return f'sampler "{sampler.component.name}" does not provide'
    return f'backbone "{backbone.component.name}" with sampler "{sampler.component.name}" does not provide'


def _keeper(capability: str, scope: Scope) -> tuple[str, str] | None:
    """For what a section provides by an option or by being there: who lacks it, and the line that cures it."""
    for name, cls in sections().items():
        owners = [r.path for r in scope.reached if isinstance(r.component, cls)]
        for owner, copy in ((owner, copy) for owner in owners or [name] for copy in cls.copies):
            if copy.provides.format(owner) != capability:
                continue
            if not owners:
                return _absent(name)
            return f"the {owner} does not keep", f"add `{copy.option} = {copy.example}` to the {owner}"
        inside = {kind.family for kind in kinds(cls).values() if kind.role == "component"} & set(providers(capability))
        if not owners and inside and not cls.implied:
            return _absent(name)
    return None


def _absent(section: str) -> tuple[str, str]:
    return f"no {section} provides", f"add a section: {section} {{}}"


def _doc(capability: str) -> str:
    return f"{capability}: {CAPABILITIES[capability]}" if capability in CAPABILITIES else ""


def _cure(capability: str, owner: str, scope: Scope) -> str:
    """A fix for a missing capability: components that provide it, or the line that keeps a copy of a section."""
    if kept := _keeper(capability, scope):
        return kept[1]
    if between := _kept_back(owner, scope).get(capability):
        return f"of a policy with this {between.family} others have {' and '.join(sorted(between.passes or ()))}"
    groups = providers(capability)
    if not groups:
        return "no installed component provides it"
    names = [f"{_family(family, members)} {', '.join(members)}" for family, members in groups.items()]
    single = len(groups) == 1 and all(len(members) == 1 for members in groups.values())
    return f"{' and '.join(names)} {'provides' if single else 'provide'} it"


def _family(family: str, members: list[str]) -> str:
    return family.replace("_", " ") if len(members) == 1 else plural(family)
