"""Specs with a syntax error: everything else is still checked, and nothing is reported because of it."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from flowrl_dsl.diagnostics import Diagnostics, render_text
from flowrl_dsl.resources import shipped_specs, shipped_suites
from flowrl_dsl.spec.resolve import Resolution, resolve
from flowrl_dsl.spec.suites.resolve import resolve_suite
from flowrl_dsl.syntax import tree
from flowrl_dsl.syntax.lexer import Lexer
from flowrl_dsl.syntax.parser import parse, parse_certain
from flowrl_dsl.syntax.tokens import Token
from flowrl_dsl.testing.texts import resolve_text
from tests.spec.helpers import calls_of

EXAMPLES = int(os.environ.get("FLOWRL_EXAMPLES", "60"))
TEXTS = {name: path.read_text(encoding="utf-8") for name, path in shipped_specs().items()}
SLIPS = [
    "",
    "",
    "@",
    "= =",
    "* *",
    "(",
    ")",
    "{",
    "}",
    "[",
    ",",
    "->",
    '"',
    "'",
    "let",
    "param",
    "3e-",
    "\N{GREEK SMALL LETTER SIGMA}",
    "x y",
]
BRACES = ("{", "}")

quick = settings(
    max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much]
)


def with_accident(text: str, tokens: Sequence[Token], draw: st.DrawFn, slips: Sequence[str] = SLIPS) -> str:
    """The text with one of the tokens dropped, replaced, doubled, or preceded by something else."""
    token, slip = draw(st.sampled_from(tokens)), draw(st.sampled_from(slips))
    end = draw(st.sampled_from([token.start_pos, token.end_pos]))
    return text[: token.start_pos] + f" {slip} " + text[end:]


@st.composite
def accidents(draw: st.DrawFn, texts: Mapping[str, str] = TEXTS) -> str:
    text = texts[draw(st.sampled_from(sorted(texts)))]
    return with_accident(text, Lexer(text, "accident").tokens[:-1], draw)


def codes(found: Resolution) -> list[str]:
    return [diagnostic.code for diagnostic in found.diagnostics]


@quick
@given(accidents())
def test_an_accident_in_a_valid_spec_gives_syntax_errors_only(text: str) -> None:
    file, _ = parse(text, "accident")
    assume(file is None)
    found = resolve_text(text)
    assert all(code.startswith("FRL01") for code in codes(found)), render_text(found.diagnostics, found.sources)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("suites") / "accident.flowrl"


@settings(quick, max_examples=EXAMPLES // 2)
@given(text=accidents({name: path.read_text(encoding="utf-8") for name, path in shipped_suites().items()}))
def test_an_accident_in_a_valid_suite_gives_syntax_errors_only(file: Path, text: str) -> None:
    assume(parse(text, "accident")[0] is None)
    file.write_text(text, encoding="utf-8")
    found = resolve_suite(str(file))
    assert all(d.code.startswith("FRL01") for d in found.diagnostics), render_text(found.diagnostics, found.sources)


def tokens_of(node: tree.Statement, text: str) -> list[Token]:
    """The tokens of a statement in the text it was parsed from."""
    span = node.span
    start, end = (span.line, span.column), (span.end_line, span.end_column)
    return [t for t in Lexer(text, "text").tokens if start <= (t.line, t.column) and (t.end_line, t.end_column) <= end]


def statements(text: str) -> tuple[tree.Statement, ...]:
    file, found = parse(text, "text")
    assert file is not None and file.algorithm is not None, found
    return file.algorithm.body


@st.composite
def mistake_and_accident(draw: st.DrawFn) -> tuple[str, str, str]:
    """A spec with a mistake in one block, with an accident in another statement, and with both."""
    text = TEXTS[draw(st.sampled_from(sorted(TEXTS)))]
    body = statements(text)
    blocks = [n for n, one in enumerate(body) if isinstance(one, tree.Section | tree.Improve)]
    a = draw(st.sampled_from(blocks))
    # next to the block, an accident may take its header away
    others = [n for n in range(len(body)) if abs(n - a) > 1]
    assume(others)
    b = draw(st.sampled_from(others))
    # without its braces, a text may end before the block
    hurt = [token for token in tokens_of(body[b], text) if token not in BRACES]
    damaged = with_accident(text, hurt, draw, [slip for slip in SLIPS if slip not in BRACES])
    grown = len(damaged) - len(text)
    brace = next(t for t in tokens_of(body[a], text) if t.type == "LBRACE").end_pos
    mistake = " no_such_option = 1 "
    shift = grown if b < a else 0
    return insert(text, brace, mistake), damaged, insert(damaged, brace + shift, mistake)


def insert(text: str, at: int, new: str) -> str:
    return text[:at] + new + text[at:]


@quick
@given(mistake_and_accident())
def test_a_mistake_in_one_block_and_an_accident_in_another_are_both_reported(texts: tuple[str, str, str]) -> None:
    wrong, damaged, both = texts
    assume(parse(damaged, "damaged")[0] is None)
    certain, _ = parse_certain(damaged, "damaged")
    # some accidents cost the parser several statements, and the mistake may be in one of them
    assume(certain is not None and certain.algorithm is not None)
    assume(len(certain.algorithm.body) >= len(statements(wrong)) - 1)
    expected = Counter(codes(resolve_text(wrong))) + Counter(codes(resolve_text(damaged)))
    found = resolve_text(both)
    assert Counter(codes(found)) == expected, render_text(found.diagnostics, found.sources)


QSM = TEXTS["qsm"]
ACCIDENTS = {
    "in a body": ("steps = 20", "steps = = 20", True, True),
    "in a declaration": ("param temperature", "parm temperature", True, False),
    "in the order": ("order  =", "order  = ->", True, False),
    "in a task's block": ("steps = 15_000", "steps = 15_000 @", True, True),
    "of a brace": ("critic {", "critic", True, False),
    "in the header": ("algorithm qsm", "algorithm", False, False),
}


@pytest.mark.parametrize(("old", "new", "options", "names"), ACCIDENTS.values(), ids=ACCIDENTS)
def test_what_is_reported_beside_an_accident(old: str, new: str, options: bool, names: bool) -> None:
    """A wrong option wherever its block is read; an unknown name only where every declaration was read."""
    damaged = QSM.replace(old, new, 1)
    assert damaged != QSM and all(code.startswith("FRL01") for code in codes(resolve_text(damaged)))
    wrong_option = resolve_text(damaged.replace("explore =", "explor =", 1))
    assert ("FRL0208" in codes(wrong_option)) == options
    wrong_name = resolve_text(damaged.replace("-sigma", "-sigm", 1))
    assert ("FRL0240" in codes(wrong_name)) == names


def test_an_incomplete_spec_inherits_no_certainty() -> None:
    """Behind a damaged parameter the base's value may not hold, nor its blocks those of the same name."""
    improve = "improve score_matching { target = -temperature * a_t }"
    child = f'algorithm a extends "qsm.flowrl" {{\n  param temperature = = 2\n  {improve}\n}}\n'
    assert all(code.startswith("FRL01") for code in codes(resolve_text(child)))


def test_a_base_with_a_syntax_error_leaves_the_rest_of_both_checked(tmp_path: Path) -> None:
    (tmp_path / "base.flowrl").write_text(QSM.replace("steps = 20", "steps = = 20"), encoding="utf-8")
    (tmp_path / "child.flowrl").write_text('algorithm c extends "base.flowrl" { act { explor = sample } }', encoding="utf-8")
    assert codes(resolve(str(tmp_path / "child.flowrl"))) == ["FRL0112", "FRL0208"]


MANY = {
    "sections": "  critic c{} { ensembl = 2  network = mlpp([256]) }",
    "policies": "  policy p{} { backbone = tanh }",
    "samplers": "  policy p{} { backbone = diffusion  sampler = ddpmm(5) }",
    "formulas": "  improve reparameterized { objective = mean(Qq(s, a), over = ensembl) + {} }",
    "members": "  critic c{} { ensemble = 2  backup = member(Q_target(s_next, a_next), 5) }",
    "syntax errors": "  critic c{} { ensemble = = 2 }",
    "characters": "  critic c{} { ensemble = ? 2 }",
    "closing braces": "  critic c{} { ensembl = 2 } }",
    "headers without braces": "  critic c{}\n    ensemble = 2\n  }",
    "definitions": "  def f{}(x) = x + y",
    "blocks for tasks": '  for task "T{}" { critic { ensembl = 2 } }',
}


@pytest.mark.parametrize("line", MANY.values(), ids=MANY)
def test_many_wrong_blocks_take_work_in_proportion_and_are_counted(line: str) -> None:
    """400 wrong blocks: all are found, the first hundred shown; four times the work of 100, counted in function calls."""

    seen: dict[int, tuple[Diagnostics, str]] = {}

    def check(count: int) -> None:
        text = "\n".join(["algorithm many {", *(line.replace("{}", str(n), 1) for n in range(count)), "}"])
        found = resolve_text(text).diagnostics
        seen[count] = found, render_text(found, {})

    check(1)  # loads what the check needs
    few, many = (calls_of(lambda count=count: check(count)) for count in (100, 400))
    assert many < 4.4 * few
    found, shown = seen[400]
    assert len(found.found) >= 400
    assert shown.count("error[") == 100 and shown.endswith(f"... and {len(found.found) - 100} more")
