"""Programs the syntax tests share: written ones, and Hypothesis strategies for trees."""

from __future__ import annotations

from hypothesis import strategies as st

from flowrl_dsl.diagnostics import Span
from flowrl_dsl.syntax import tree
from flowrl_dsl.syntax.lexer import language

QSM = """\
algorithm qsm "Q-score matching" {
  paper  = "arXiv:2312.11752"
  regime = off_policy

  policy {
    backbone  = diffusion(schedule = cosine)
    network   = mlp([256, 256, 256], activation = mish)
    sampler   = ddpm(steps = 20, clip = 1.0)
    optimizer = adam(3e-4)
  }

  critic {
    network  = mlp([256, 256])
    ensemble = 2
    target   = ema(0.005)
  }

  param temperature = 0.1 in (0, 10]

  improve score_matching {
    let g  = grad(mean(Q_target(s, a_t), over = ensemble), wrt = a_t)
    target = -sigma * g / (temperature * mean(abs(g)))
  }

  act { explore = noise(0.1)  evaluate = best_of(10) }
}
"""

HYBRID = """\
# A hybrid nobody has published.
algorithm dpmd_qsm extends "dpmd.flowrl" {
  def top(q, n) = q >= quantile(q, 1 - n / 16)

  improve weighted_regression {
    particles = 16 from old_policy
    weight    = softmax(mean(Q(s, a), over = ensemble) / temperature, over = particle)
  }

  improve (1 - w) * score_matching {
    target = -sigma * grad(min(Q(s, a_t), over = ensemble), wrt = a_t) / temperature  # the learned score
  }

  rate = linear(3e-4 -> 3e-5, over = 200_000)

  for task "Hopper-v5", "Ant-v5" { temperature = 0.05 }
}
"""

NOWHERE = Span("tree", 1, 1, 1, 1)


def _at(kind):
    return lambda *parts: kind(*parts, NOWHERE)


names = (
    st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,6}", fullmatch=True)
    .filter(lambda text: text not in language().keywords)
    .map(_at(tree.Name))
)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
strings = texts.map(_at(tree.String))
numbers = (st.integers(0, 10**9) | st.floats(0, allow_nan=False, allow_infinity=False)).map(_at(tree.Number))
leaves = numbers | strings | st.booleans().map(_at(tree.Boolean)) | names

OPERATORS = ["+", "-", "*", "/", "^", "<", "<=", ">", ">=", "==", "!="]


@st.composite
def _calls(draw, inner):
    positional = draw(st.lists(inner, max_size=3))
    named = draw(st.lists(names, max_size=3, unique_by=lambda name: name.id))
    arguments = [tree.Argument(None, value, NOWHERE) for value in positional]
    arguments += [tree.Argument(name, draw(inner), NOWHERE) for name in named]
    return tree.Call(draw(names), tuple(arguments), NOWHERE)


def _grow(inner):
    return (
        _calls(inner)
        | st.lists(inner, max_size=4).map(tuple).map(_at(tree.List))
        | inner.map(_at(tree.Unary))
        | st.builds(_at(tree.Binary), st.sampled_from(OPERATORS), inner, inner)
        | st.lists(inner, min_size=2, max_size=4).map(tuple).map(_at(tree.Arrow))
        | st.builds(_at(tree.From), inner, names)
    )


expressions = st.recursive(leaves, _grow, max_leaves=12)


@st.composite
def ranges(draw):
    finite = st.integers(-100, 100) | st.floats(-1e6, 1e6, allow_nan=False)
    low, high = sorted([draw(finite), draw(finite)])
    low_open, high_open = (draw(st.booleans()), draw(st.booleans())) if low < high else (False, False)
    if draw(st.booleans()):
        low, low_open = None, True
    if draw(st.booleans()):
        high, high_open = None, True
    return tree.Range(low, high, low_open, high_open, NOWHERE)


assigns = st.builds(_at(tree.Assign), names, expressions)
definitions = st.builds(
    _at(tree.Define), names, st.lists(names, max_size=3, unique_by=lambda name: name.id).map(tuple), expressions
)
simple = (
    assigns
    | st.builds(_at(tree.Param), names, expressions, st.none() | ranges())
    | st.builds(_at(tree.Let), names, expressions)
    | definitions
)


def _section(name: tree.Name, body, given: tree.Name | None) -> tree.Section:
    """A section; a word that looks like a misspelt ``improve`` takes no name."""
    return tree.Section(name, body, NOWHERE, None if "imp" in name.id.lower() else given)


def _bodies(statements):
    body = st.lists(statements, max_size=4).map(tuple) | st.lists(assigns, max_size=3).map(tuple)
    tasks = st.lists(strings, min_size=1, max_size=3).map(tuple)
    return (
        st.builds(_section, names, body, st.none() | names)
        | st.builds(_at(tree.Improve), st.none() | expressions, names, body)
        | st.builds(_at(tree.ForTask), tasks, body)
    )


statements = st.recursive(simple, _bodies, max_leaves=6)
algorithms = st.builds(
    _at(tree.Algorithm),
    names,
    st.none() | strings,
    st.none() | strings,
    st.lists(statements, max_size=5).map(tuple),
)
suites = algorithms.map(lambda one: tree.Suite(one.name, one.title, one.base, one.body, NOWHERE))
files = st.builds(tree.File, algorithms | suites, st.just(())) | st.builds(
    tree.File, st.none(), st.lists(definitions, min_size=1, max_size=3).map(tuple)
)
