"""Printed programs: short, of a bounded width, and the same at every printing."""

from __future__ import annotations

import ast

import pytest

from flowrl_dsl.driver import compile_report
from flowrl_dsl.lowering.emit.layout import WIDTH
from flowrl_dsl.passes import PIPELINE
from flowrl_dsl.resources import shipped_specs


@pytest.mark.parametrize("passes", [None, tuple(PIPELINE), ()], ids=["for reading", "all", "none"])
@pytest.mark.parametrize("spec", shipped_specs())
def test_a_printed_program_is_python_of_bounded_width(spec, passes):
    source = compile_report(spec, "python", None, (), passes)
    ast.parse(source)
    assert max(map(len, source.splitlines())) <= WIDTH
    assert "flowrl_dsl" not in source


def test_q_score_matching_fits_on_few_pages():
    source = compile_report("qsm", "python", None, ())
    assert len(source.splitlines()) <= 350
    assert source == compile_report("qsm", "python", None, ())
