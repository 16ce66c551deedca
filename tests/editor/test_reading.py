"""Hover, signatures, colours, symbols and folds."""

from __future__ import annotations

from itertools import pairwise

import pytest

from flowrl_dsl.axes import AXES
from flowrl_dsl.editor import describe
from flowrl_dsl.editor.coloring import COLORS, colored
from flowrl_dsl.editor.folding import Fold, folds
from flowrl_dsl.editor.hover import hover
from flowrl_dsl.editor.meaning import BEGINNINGS
from flowrl_dsl.editor.signatures import signature
from flowrl_dsl.editor.symbols import symbols
from flowrl_dsl.spec.merge import PHASE_OPTIONS
from flowrl_dsl.spec.order import TARGETS, WORDS
from flowrl_dsl.spec.overrides import SETTINGS
from flowrl_dsl.syntax.lexer import language
from tests.editor.helpers import SPECS, at, in_spec, view_of

HOVERS = [
    ("qsm", "backbone  = diffu‸sion", ["diffusion(schedule", "a_t = alpha_t a", "arXiv:2011.13456", "`noise_prediction`"]),
    ("qsm", "ddpm(steps = 20, cl‸ip = 1.0)", ["`ddpm.clip`", "default", "clean action"]),
    ("qsm", "ddpm(steps = 2‸0, clip = 1.0)", ["`ddpm.steps`", "whole number"]),
    ("qsm", "ens‸emble = 2 ", ["`critic.ensemble`"]),
    ("qsm", "Q_tar‸get(s, a_t)", ["Q_target(obs, action)", "`Q_target(s, a_t)`: axes [ensemble, batch]"]),
    ("qsm", "mean(Q_target(s, a_t)‸, over", ["`mean(Q_target(s, a_t), over = ensemble)`: axes [batch]"]),
    ("qsm", "over = ensem‸ble), wrt", ["members of a critic ensemble"]),
    ("qsm", "scale = temperat‸ure", ["param temperature = 0.1 in (0, 10]", "`temperature`: a scalar"]),
    ("qsm", "target    = -si‸gma * g / scale", ["`sigma`: axes [batch]"]),
    ("qsm", "target    = -sigma ‸* g / scale", ["`-sigma * g`: axes [batch, action]"]),
    ("qsm", "reg‸ime = off_policy", ["where transitions come from", "default `off_policy`"]),
    ("qsm", "order  = cri‸tic -> targets", ["temporal-difference"]),
    ("qsm", "par‸am temperature", ["`param name = value"]),
    ("qsm", "for ta‸sk \"InvertedPendulum-v5\"", ["settings of some tasks"]),
    ("qsm_dpmd", "shor‸tened(g", ["def shortened(v, reach)", "shortened to the length reach"]),
    ("qsm_dpmd", "grad(mean(Q(s, a_t), over = ensemble), w‸rt", []),
    ("qsm_dpmd", "gr‸ad(mean(Q", ["the gradient of the sum"]),
    ("qsm_dpmd", "parti‸cles = 32", ["`weighted_regression.particles`", "in the spec that this one extends: `particles"]),
    ("sac", "target_entropy = -‸A)", []),
]  # fmt: skip


@pytest.mark.parametrize(("name", "words", "told"), HOVERS, ids=[words for _, words, _ in HOVERS])
def test_hovers(name: str, words: str, told: list[str]) -> None:
    found = hover(*in_spec(name, words))
    assert [text for text in told if found is None or text not in found.text] == []
    assert told or found is None or found.text


def test_nothing_is_told_of_comments_and_gaps() -> None:
    assert hover(*at("algorithm x {\n\n  ‸\n}")) is None
    assert hover(*at("# pol‸icy")) is None


def test_every_word_of_the_language_is_explained() -> None:
    assert {*language().keywords, *SETTINGS, *PHASE_OPTIONS, *WORDS, *BEGINNINGS, TARGETS} <= {*describe.WORDS}


def test_axes_of_a_formula_inside_of_a_task() -> None:
    text = SPECS["qsm"].replace(
        '  for task "dm_control/*" {', '  for task "dm_control/*" {\n    improve score_matching { target = -sigma ‸* a_t }'
    )
    found = hover(*at(text))
    assert found is not None and "`-sigma * a_t`: axes [batch, action]" in found.text


CALLS = [
    ("policy { sampler = ddpm(‸", "ddpm(steps, clip, variance, floor)", "steps"),
    ("policy { sampler = ddpm(20, ‸", "ddpm(steps, clip, variance, floor)", "clip"),
    ("policy { sampler = ddpm(variance = ‸", "ddpm(steps, clip, variance, floor)", "variance"),
    ("policy { optimizer = adam(linear(1 -> 2, ‸", "linear(start, end, over, after)", "over"),
    ("param t = linear(1 -> 2, over = ‸", "linear(start, end, over, after)", "over"),
    ("order = every(2, ‸", "every(n, stage, after = n, until = n)", "stage"),
    ("order = every(2, critic, until = ‸", "every(n, stage, after = n, until = n)", "until = n"),
    ("phase p { begin = [copy(policy, ‸", "copy(source, section)", "section"),
    ("improve score_matching { target = Q(s, ‸", "Q(obs, action)", "action"),
    ("improve score_matching { target = mean(Q(s, a), over = ‸", "mean(x, over = axis)", "over = axis"),
    ("improve score_matching { target = grad(a, wrt = ‸", "grad(value, wrt = a)", "wrt = a"),
    ("improve score_matching { target = softmax_weights(‸", "softmax_weights(q, temperature)", "q"),
    ("improve score_matching { target = subset(Q(s, a), ‸", "subset(x, n)", "n"),
    ("improve score_matching { target = clip(a, 0, 1, ‸", "clip(x, y, z)", None),
    ("improve score_matching { target = clip((a + ‸", "clip(x, y, z)", "x"),
]


@pytest.mark.parametrize(("text", "label", "active"), CALLS, ids=[text for text, _, _ in CALLS])
def test_signatures(text: str, label: str, active: str | None) -> None:
    found = signature(*at("algorithm x {\n  " + text))
    assert found is not None and found.label == label and found.text
    assert (None if found.active is None else found.parameters[found.active][0]) == active
    assert all(name in label for name, _ in found.parameters)


@pytest.mark.parametrize(
    "text", ["algorithm x { policy { a = ‸", "x(‸", "algorithm x { policy { sampler = nothing(‸", "# f(‸"]
)
def test_no_signature(text: str) -> None:
    assert signature(*at(text)) is None


@pytest.mark.parametrize("name", SPECS)
def test_words_are_coloured_in_order_and_once(name: str) -> None:
    view = view_of(name)
    found = colored(view)
    places = [(one.span.line, one.span.column, one.span.end_column) for one in found]
    assert all(a[0] < b[0] or a[2] <= b[1] for a, b in pairwise(places))
    assert all(one.span.line == one.span.end_line for one in found)
    words = {entry.token for entry in view.document.entries if entry.token.type == "NAME"}
    assert words <= {view.document.written(one.span) for one in found}


def test_colours_tell_kinds_of_names_apart() -> None:
    view = view_of("qsm")
    colors = {(view.document.written(one.span), one.color) for one in colored(view)}
    expected = {
        ("algorithm", "keyword"), ("policy", "namespace"), ("backbone", "property"), ("diffusion", "type"),
        ("schedule", "parameter"), ("cosine", "type"), ("mish", "enumMember"), ("Q_target", "function"),
        ("a_t", "variable"), ("ensemble", "enumMember"), ("score_matching", "class"), ("20", "number"),
        ('"arXiv:2312.11752"', "string"), ("targets", "namespace"),
    }  # fmt: skip
    assert expected <= colors
    declared = [view.document.written(one.span) for one in colored(view) if "declaration" in one.modifiers]
    assert declared == ["temperature", "g", "scale"]
    assert {*AXES} and {"keyword", "comment"} <= {*COLORS}


def test_symbols_of_a_spec() -> None:
    (top,) = symbols(view_of("qsm").document)
    assert (top.name, top.detail, top.kind) == ("qsm", "Q-score matching", "Class")
    shown = [(one.name, one.kind, len(one.children)) for one in top.children]
    assert ("policy", "Namespace", 4) in shown and ("improve score_matching", "Method", 3) in shown
    assert ("temperature", "Constant", 0) in shown and ('for task "dm_control/*"', "Event", 3) in shown
    assert all(
        inner.span.line >= one.span.line and inner.span.end_line <= one.span.end_line
        for one in top.children
        for inner in one.children
    )


def test_symbols_stay_while_a_text_is_broken() -> None:
    broken = at(SPECS["qsm"].replace("ddpm(steps = 20, clip = 1.0)", "ddpm(steps = 20, ")[:-4])[0]
    names = [one.name for one in symbols(broken.document)[0].children]
    assert names == [one.name for one in symbols(view_of("qsm").document)[0].children]


def test_folds() -> None:
    text = "# one\n# two\nalgorithm x {\n  policy {\n    a = [1,\n      2]\n  }\n  act { }  # beside\n  # alone\n}\n"
    found = folds(at(text)[0].document)
    assert found == [Fold(1, 2, comment=True), Fold(3, 9), Fold(4, 6), Fold(5, 6)]
