"""Axes of formulas against hand-derived ones, and everything a formula may get wrong.

The slot of these tests sees s [batch, obs], a [batch, particle, action], a_t [batch, action], sigma and t [batch],
score [batch, particle]; Q of a is [ensemble, batch, particle], Q of a_t is [ensemble, batch].
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from flowrl_dsl.algorithm import Parameter
from flowrl_dsl.axes import AXES
from flowrl_dsl.diagnostics import Diagnostics, Span
from flowrl_dsl.formula import PRIMITIVES, Bound, Constant, Formula, Gradient, Operation, Slot, Variable
from flowrl_dsl.spec import stdlib
from flowrl_dsl.spec.scope import Scope, Site
from flowrl_dsl.spec.typecheck import check
from flowrl_dsl.syntax import tree
from flowrl_dsl.syntax.parser import parse, parse_expression

SLOT = Slot(
    result=tuple(AXES),
    values={
        "s": ("batch", "obs"),
        "a": ("batch", "particle", "action"),
        "a_t": ("batch", "action"),
        "sigma": ("batch",),
        "t": ("batch",),
        "score": ("batch", "particle"),
    },
    functions=("Q", "Q_target", "eps"),
    sizes={"A": "action", "N": "particle"},
)
SITE = Site("example.weight", Span("example", 1, 1, 1, 1))
EBP, BP, B, BA = ("ensemble", "batch", "particle"), ("batch", "particle"), ("batch",), ("batch", "action")


def scope_with(declarations: str = "") -> Scope:
    """A scope with the parameters tau = 0.1 and beta = 2, the standard library, and further lets and defs."""
    scope = Scope(Diagnostics(), library=stdlib.LIBRARY, defines=dict(stdlib.definitions()))
    scope.parameters = {name: Parameter(name=name, value=value) for name, value in (("tau", 0.1), ("beta", 2.0))}
    file, found = parse(f"algorithm x {{\n{declarations}\n}}", "declared")
    assert file is not None and file.algorithm is not None, found
    for statement in file.algorithm.body:
        if isinstance(statement, tree.Let):
            scope.lets[statement.name.id] = statement
        elif isinstance(statement, tree.Define):
            scope.defines[statement.name.id] = statement
    return scope


def checked(text: str, slot: Slot = SLOT, declarations: str = "") -> tuple[Formula | None, Scope]:
    expr, found = parse_expression(text, "formula")
    assert expr is not None, found
    scope = scope_with(declarations)
    return check(expr, slot, scope, SITE), scope


def axes(text: str, **how: str) -> tuple[str, ...]:
    formula, scope = checked(text, **how)
    assert formula is not None, scope.diagnostics.found
    return formula.term.axes


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("1", ()),
        ("tau", ()),
        ("A", ()),
        ("N", ()),
        ("s", ("batch", "obs")),
        ("-a_t", BA),
        ("sigma * a_t", BA),
        ("a - a_t", ("batch", "particle", "action")),
        ("s + a_t", ("batch", "obs", "action")),
        ("Q(s, a)", EBP),
        ("Q_target(s, a_t)", ("ensemble", "batch")),
        ("Q(s, a) > mean(Q(s, a), over = ensemble)", EBP),
        ("mean(Q(s, a))", ()),
        ("mean(Q(s, a), over = ensemble)", BP),
        ("min(Q(s, a), over = [particle, ensemble])", B),
        ("softmax(Q(s, a) / tau, over = particle)", EBP),
        ("best(score, over = particle) * rank(score, over = particle)", BP),
        ("simplex_linear(Q(s, a), -tau, over = particle)", EBP),
        ("simplex_square(score, over = batch)", BP),
        ("mean_shift(a_t, a, tau, over = particle)", ("batch", "action")),
        ("norm(a, over = action)", BP),
        ("norm(a_t)", ()),
        ("count(a, over = [batch, action])", ("particle",)),
        ("std(score, over = batch)", ("particle",)),
        ("eps(s, a_t, t)", BA),
        ("eps(s, a, t)", ("batch", "particle", "action")),
        ("eps(s, a_t, 0.5)", BA),
        ("grad(mean(Q(s, a_t), over = ensemble), wrt = a_t)", BA),
        ("grad(mean(Q(s, a), over = ensemble), wrt = a)", ("batch", "particle", "action")),
        ("grad(mean(Q(s, a)), wrt = a_t)", BA),
        ("grad(mean(Q(s, a_t), over = ensemble), wrt = s)", ("batch", "obs")),
        ("grad(sigma * t, wrt = t)", B),
        ("stop(Q(s, a_t))", ("ensemble", "batch")),
        ("clip(score, -1, tau)", BP),
        ("where(score > 0, sigma, Q(s, a_t))", EBP),
        ("minimum(sigma, tau)", B),
        ("2 ^ -sigma", B),
    ],
)
def test_axes(text: str, wanted: tuple[str, ...]) -> None:
    assert axes(text) == wanted


def test_terms_are_what_was_written() -> None:
    formula, scope = checked("-2 * tau - mean(score, over = particle)")
    q = Operation("mean", (Variable("score", BP),), B, over=("particle",))
    wanted = Operation("sub", (Operation("mul", (Constant(-2.0), Variable("tau", ())), ()), q), B)
    assert formula is not None and formula.term == wanted
    assert formula.text == "-2 * tau - mean(score, over = particle)"
    assert scope.used == set()


def test_gradients_and_lets_keep_their_names() -> None:
    formula, _ = checked("h + h", declarations="let g = grad(sigma * t, wrt = t)\nlet h = 2 * g")
    gradient = Gradient(Operation("mul", (Variable("sigma", B), Variable("t", B)), B), Variable("t", B), B)
    inner = Bound("g", gradient, B)
    h = Bound("h", Operation("mul", (Constant(2.0), inner), B), B)
    assert formula is not None and formula.term == Operation("add", (h, h), B)
    left, right = formula.term.operands
    assert left.value is right.value


def test_a_let_is_typed_where_it_is_used() -> None:
    other = Slot(result=B, values={"score": B})
    assert axes("double", declarations="let double = score + score") == BP
    formula, _ = checked("double", other, "let double = score + score")
    assert formula is not None and formula.term.axes == B


def test_definitions_are_expanded() -> None:
    declarations = "def centred(x, scale) = (x - mean(x, over = particle)) / scale\ndef twice(x) = centred(x, tau) + x"
    formula, _ = checked("twice(score)", declarations=declarations)
    written, _ = checked("(score - mean(score, over = particle)) / tau + score")
    assert formula is not None and written is not None and formula.term == written.term
    named, _ = checked("centred(scale = tau, x = score)", declarations=declarations)
    assert named is not None and named.term == written.term.operands[0]


def test_definitions_see_the_slot_but_no_lets() -> None:
    assert axes("f()", declarations="def f() = score * tau") == BP
    formula, scope = checked("f()", declarations="let k = 2\ndef f() = score * k")
    assert formula is None and [d.code for d in scope.diagnostics] == ["FRL0240"]


def test_gradient_by_an_argument_of_a_definition() -> None:
    assert axes("slope(a_t)", declarations="def slope(x) = grad(mean(Q(s, x), over = ensemble), wrt = x)") == BA
    formula, scope = checked("slope(2 * a_t)", declarations="def slope(x) = grad(mean(Q(s, x), over = ensemble), wrt = x)")
    assert formula is None and [d.code for d in scope.diagnostics] == ["FRL0250"]


@pytest.mark.parametrize(
    ("text", "code", "columns"),
    [
        ("sgima * 2", "FRL0240", (1, 6)),
        ("Q + 1", "FRL0240", (1, 2)),
        ("softmax * 2", "FRL0240", (1, 8)),
        ("particle * 2", "FRL0240", (1, 9)),
        ("r + 1", "FRL0241", (1, 2)),
        ("log_prob(s, a)", "FRL0241", (1, 9)),
        ("meen(score)", "FRL0242", (1, 5)),
        ("score(1)", "FRL0242", (1, 6)),
        ("abs()", "FRL0243", (1, 6)),
        ("abs(score, t)", "FRL0243", (1, 14)),
        ("max(score, t)", "FRL0243", (1, 14)),
        ("Q(s)", "FRL0243", (1, 5)),
        ("top1(score, t)", "FRL0243", (1, 15)),
        ("huber(score)", "FRL0243", (1, 13)),
        ("grad(wrt = a)", "FRL0243", (1, 14)),
        ("Q(a, a)", "FRL0244", (3, 4)),
        ("Q(s, score)", "FRL0244", (6, 11)),
        ("Q(s, s + a)", "FRL0244", (6, 11)),
        ("eps(s, a_t, a_t)", "FRL0244", (13, 16)),
        ("Q(s, a_t * Q(s, a_t))", "FRL0244", (6, 21)),
        ("mean(score, over = particel)", "FRL0245", (20, 28)),
        ("mean(score, over = [particle, particle])", "FRL0245", (31, 39)),
        ("mean(score, over = [])", "FRL0245", (20, 22)),
        ("mean(score, over = 1)", "FRL0245", (20, 21)),
        ("mean(score, over = tau)", "FRL0245", (20, 23)),
        ("mean(score, over = action)", "FRL0246", (20, 26)),
        ("softmax(score, over = reverse)", "FRL0246", (23, 30)),
        ("softmax(score)", "FRL0247", (1, 15)),
        ("softmax(score, over = [batch, particle])", "FRL0247", (23, 40)),
        ("softmax(score, tau, over = particle)", "FRL0243", (1, 37)),
        ("simplex_linear(score, over = particle)", "FRL0243", (1, 39)),
        ("simplex_linear(score, sigma, over = particle)", "FRL0244", (23, 28)),
        ("simplex_linear(score, 0.5)", "FRL0247", (1, 27)),
        ("mean_shift(a_t, score, 0.1, over = particle)", "FRL0244", (17, 22)),
        ("mean_shift(mean(score), a, 0.1, over = particle)", "FRL0244", (12, 23)),
        ("mean_shift(a, a, 0.1, over = particle)", "FRL0244", (12, 13)),
        ("mean_shift(a_t, a_t, 0.1, over = particle)", "FRL0246", (34, 42)),
        ("mean_shift(a_t, a, score, over = particle)", "FRL0244", (20, 25)),
        ("mean_shift(a_t, a, 0.1, over = action)", "FRL0247", (32, 38)),
        ("mean_shift(a_t, a, 0.1)", "FRL0247", (1, 24)),
        ("grad(Q(s, a_t), wrt = a_t)", "FRL0249", (6, 15)),
        ("grad(score, wrt = sigma)", "FRL0249", (6, 11)),
        ("grad(eps(s, a_t, t), wrt = a_t)", "FRL0249", (6, 20)),
        ("grad(mean(score))", "FRL0250", (1, 18)),
        ("grad(mean(score), wrt = tau)", "FRL0250", (25, 28)),
        ("grad(mean(score), wrt = 2 * a)", "FRL0250", (25, 30)),
        ('score * "x"', "FRL0251", (9, 12)),
        ("score + true", "FRL0251", (9, 13)),
        ("[score, t]", "FRL0251", (1, 11)),
        ("score -> t", "FRL0251", (1, 11)),
        ("score from policy", "FRL0258", (1, 6)),
        ("Q(s, a) from nothing", "FRL0219", (14, 21)),
        ("abs(x = score)", "FRL0253", (5, 6)),
        ("mean(score, axis = particle)", "FRL0253", (13, 17)),
        ("softmax(score, over = particle, over = batch)", "FRL0132", None),
        ("Q(s, action = a)", "FRL0253", (6, 12)),
        ("top1(x = score)", "FRL0253", (6, 15)),
        ("top1(score, q = score)", "FRL0253", (13, 22)),
        ("mean(tau)", "FRL0254", (1, 10)),
        ("mean(1 + 2)", "FRL0254", (1, 12)),
    ],
)
def test_mistakes_are_found_at_their_columns(text: str, code: str, columns: tuple[int, int] | None) -> None:
    expr, syntax = parse_expression(text, "formula")
    if expr is None:
        assert [d.code for d in syntax] == [code]
        return
    scope = scope_with()
    assert check(expr, SLOT, scope, SITE) is None
    (found,) = scope.diagnostics.found
    assert found.span is not None
    assert (found.code, (found.span.column, found.span.end_column)) == (code, columns)


def test_all_mistakes_of_a_formula_are_found() -> None:
    formula, scope = checked("meen(x1) + softmax(y1) * Q(s, z1) - mean(score, over = action)")
    assert formula is None
    wanted = ["FRL0242", "FRL0240", "FRL0240", "FRL0240", "FRL0246"]
    assert [d.code for d in scope.diagnostics] == wanted


def test_hints() -> None:
    def notes(text: str) -> str:
        return "; ".join(note for d in checked(text)[1].diagnostics for note in d.notes)

    assert 'did you mean "sigma"?' in notes("sgima")
    assert "write minimum(x, y)" in notes("min(score, t)")
    assert "softmax(..., over = particle)" in notes("softmax(score)")
    assert "reduce ensemble first" in notes("grad(Q(s, a_t), wrt = a_t)")
    assert "it sees" in notes("r")


def test_the_result_must_fit_the_slot() -> None:
    narrow = Slot(result=B, values=SLOT.values, functions=SLOT.functions)
    assert axes("mean(Q(s, a_t))", slot=narrow) == ()
    formula, scope = checked("Q(s, a_t)", narrow)
    assert formula is None and [d.code for d in scope.diagnostics] == ["FRL0248"]
    assert scope.diagnostics.found[0].notes == ("reduce ensemble, for instance by mean(..., over = ensemble)",)


def test_a_name_with_two_meanings() -> None:
    _, scope = checked("score * 2", declarations="let score = 1")
    assert [d.code for d in scope.diagnostics] == ["FRL0252"]
    formula, _ = checked("t * 2", declarations="let score = 1")
    assert formula is not None


def test_a_default_knows_no_declarations() -> None:
    expr, _ = parse_expression("score * 2", "default")
    scope = scope_with("let score = 1")
    default = Site("example.weight", SITE.owner, default="weight = score * 2")
    assert expr is not None and check(expr, SLOT, scope, default) is not None


def test_lets_are_read_in_order_and_never_in_circles() -> None:
    _, scope = checked("x", declarations="let x = y\nlet y = 1")
    assert [d.code for d in scope.diagnostics] == ["FRL0228"]
    _, scope = checked("f(1)", declarations="def f(x) = g(x)\ndef g(x) = f(x)")
    assert [d.code for d in scope.diagnostics] == ["FRL0228"]
    _, scope = checked("x", declarations="let x = x")
    assert [d.code for d in scope.diagnostics] == ["FRL0228"]


def test_a_let_is_computed_once_however_often_it_is_used() -> None:
    chain = "let x0 = score\n" + "\n".join(f"let x{i + 1} = x{i} + x{i}" for i in range(50))
    assert axes("x50", declarations=chain) == BP
    doubling = "def f0(x) = x + x\n" + "\n".join(f"def f{i + 1}(x) = f{i}(f{i}(x))" for i in range(40))
    formula, scope = checked("f40(score)", declarations=doubling)
    assert formula is None and [d.code for d in scope.diagnostics] == ["FRL0229"]
    deep = "let x0 = score\n" + "\n".join(f"let x{i + 1} = x{i}" for i in range(100))
    formula, scope = checked("x100", declarations=deep)
    assert formula is None and [d.code for d in scope.diagnostics] == ["FRL0229"]


def test_mistakes_inside_a_definition_are_shown_at_its_call() -> None:
    _, scope = checked("1 + advantage(sigma)")
    (found,) = scope.diagnostics.found
    assert found.span == Span("formula", 1, 5, 1, 21) and found.code == "FRL0246"
    assert found.notes[-1].startswith('in def "advantage" at stdlib.flowrl:')


def test_every_primitive_is_typed() -> None:
    for primitive in PRIMITIVES.values():
        if primitive.kind == "members":
            assert axes(f"{primitive.name}(Q(s, a), 2)") == (EBP if primitive.name == "subset" else BP)
            continue
        if primitive.kind == "towards":
            assert axes(f"{primitive.name}(a_t, a, tau, over = particle)") == ("batch", "action")
            continue
        over = "" if primitive.kind == "elementwise" else ", over = particle"
        others = ["tau" if primitive.kind == "along" else "score"] * (primitive.arity - 1)
        found = axes(f"{primitive.name}({', '.join(['score', *others])}{over})")
        assert found == (B if primitive.kind == "reduction" else BP), primitive.name


STDLIB = {
    "in_units_of_another(Q(s, a))": BP,
    "double_q(Q(s, a))": BP,
    "pessimistic(Q(s, a), 0.5)": BP,
    "lower_mean(Q(s, a), 0.5)": B,
    "below_best(score, tau)": BP,
    "softmax_weights(score, tau)": BP,
    "top1(score)": BP,
    "advantage(score)": BP,
    "shares(relu(score))": BP,
    "linear_weights(score)": BP,
    "linear_simplex(score, tau, -0.5)": BP,
    "square_simplex(score, tau)": BP,
    "square_weights(score)": BP,
    "exponential_advantage(score, sigma, beta, 100)": BP,
    "soft_value(score, tau)": B,
    "soft_q(score, sigma, tau)": BP,
    "td(sigma, t, 0.99, sigma)": B,
    "normalized_score(a_t)": BA,
    "direction(a_t)": BA,
    "shortened(a_t, tau)": BA,
    "huber(score - sigma, 1)": BP,
    "expectile(score - sigma, 0.7)": BP,
    "sparse_fit(score, sigma, tau)": BP,
    "exponential_fit(score, sigma, tau)": BP,
    "by_size(a_t)": BA,
    "clipped_error(score, sigma, t, 0.2)": BP,
    "standardized(score)": BP,
    "clipped(score, sigma, 0.2)": BP,
    "penalized(score, sigma, 0.2)": BP,
    "at_most(score, tau)": BP,
}


DENOISED = Slot(
    result=BP,
    values={"e": ("batch", "particle", "denoise", "action"), "k": ("denoise",)},
    functions=("Q",),
)
STEPS = {"step_kl(e, 2 * e, k)": ("batch", "particle", "denoise"), "path_kl(e, 2 * e, k)": BP}


REVERSED = Slot(
    result=BA,
    values={"x": ("batch", "reverse", "action"), "z": ("batch", "reverse", "action"), "w": ("batch", "reverse")},
)
EXPECTATIONS = {"expected(x, w)": BA, "error_covariance(x, z, w)": B, "least_variance(x, z, w)": BA}


def test_every_definition_of_the_standard_library_is_used_here() -> None:
    assert {text.partition("(")[0] for text in (*STDLIB, *STEPS, *EXPECTATIONS)} == {*stdlib.definitions()}


@pytest.mark.parametrize("text", STDLIB)
def test_standard_library(text: str) -> None:
    assert axes(text) == STDLIB[text]


@pytest.mark.parametrize("text", STEPS)
def test_divergences_of_denoising_steps(text: str) -> None:
    slot = replace(DENOISED, result=STEPS[text])
    assert axes(text, slot=slot) == STEPS[text]


@pytest.mark.parametrize("text", EXPECTATIONS)
def test_expectations_over_reverse_samples(text: str) -> None:
    assert axes(text, slot=REVERSED) == EXPECTATIONS[text]
