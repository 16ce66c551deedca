"""Top-level settings of an algorithm: the regime and the paper."""

from __future__ import annotations

from dataclasses import replace

from flowrl_dsl.algorithm import Origin
from flowrl_dsl.diagnostics import did_you_mean
from flowrl_dsl.registry import Component, members_of
from flowrl_dsl.spec.check import Check
from flowrl_dsl.spec.options import Options
from flowrl_dsl.spec.scope import Site
from flowrl_dsl.syntax import tree

REGIME = "off_policy"


def read_regime(check: Check) -> Component:
    given = check.statements.settings.get("regime")
    _check_settings(check)
    site = Site("regime", given.value.span if given else check.place)
    options = Options(check.scope)
    if given is not None:
        check.scope.record(site, given.value)
        return options.component("regime", given.value, site)
    name = tree.Name(REGIME, check.place)
    check.scope.origins["regime"] = Origin(text=REGIME, source="default", span=check.place)
    return options.component("regime", name, replace(site, default=REGIME))


def _check_settings(check: Check) -> None:
    known = ("paper", "regime", "order")
    for key, assign in check.statements.settings.items():
        if key in known:
            continue
        homes = [name for name, cls in members_of("section").items() if key in cls.model_fields]
        hint = f"it is an option of section {' and '.join(sorted(homes))}" if homes else did_you_mean(key, known)
        check.error("FRL0208", f'an algorithm has no setting "{key}"', assign.key.span, hint)
    paper = check.statements.settings.get("paper")
    if paper is not None and not isinstance(paper.value, tree.String):
        check.error("FRL0213", '"paper" is a string', paper.value.span, 'for instance paper = "arXiv:2312.11752"')


def paper_of(check: Check) -> str:
    paper = check.statements.settings.get("paper")
    return paper.value.value if paper is not None and isinstance(paper.value, tree.String) else ""
