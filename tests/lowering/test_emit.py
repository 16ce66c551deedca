"""Printed programs: short, of a bounded width, and the same at every printing."""

from __future__ import annotations

import ast
import builtins
import symtable

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
    assert not undefined(source)


def undefined(source):
    """Names that some function of a file reads from the module, and that neither the module nor Python defines."""
    module = symtable.symtable(source, "<printed>", "exec")
    known = {s.get_name() for s in module.get_symbols() if s.is_assigned() or s.is_imported() or s.is_namespace()}
    tables, found = [module], set()
    while tables:
        table = tables.pop()
        tables += table.get_children()
        found |= {s.get_name() for s in table.get_symbols() if s.is_global()}
    return found - known - set(dir(builtins))


def test_a_name_that_nothing_defines_is_found():
    assert undefined("import jax\ndef f(x):\n    return jax.grad(lambda y: in_pieces(y))(x)\n") == {"in_pieces"}


def test_q_score_matching_fits_on_few_pages():
    source = compile_report("qsm", "python", None, ())
    assert len(source.splitlines()) <= 350
    assert source == compile_report("qsm", "python", None, ())
