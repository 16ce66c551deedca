"""``flowrl-dsl compile``: the plan, every form a spec takes on its way, and that they are what they say."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path

import pytest

from flowrl_dsl import cli
from flowrl_dsl.commands.compile import EMITTED
from flowrl_dsl.driver import build_graphs, compile_plan, compile_report, resolve_or_raise
from flowrl_dsl.graph.text import parse_graph
from flowrl_dsl.passes import PIPELINE, Applied
from flowrl_dsl.plan import Plan, _pass_table
from flowrl_dsl.resources import shipped_specs
from flowrl_dsl.spec.resolve import resolve

SPECS = sorted(shipped_specs())
TINY = ("policy.network=mlp([8])", "critic.network=mlp([8])", "train.batch=4")


@pytest.fixture(scope="module")
def planned() -> Plan:
    return compile_plan("td3", None, TINY)


@pytest.fixture(scope="module")
def plan(planned: Plan) -> str:
    return planned.text()


def test_the_plan_names_every_axis_of_the_taxonomy(plan: str) -> None:
    rows = [("regime", "off_policy"), ("backbone", "deterministic"), ("policy improvement", "reparameterized")]
    for axis, choice in rows:
        assert f"{axis:<18}  {choice}" in plan
    assert "critic -> every(2, policy -> targets)" in plan


def test_the_plan_says_where_settings_came_from(plan: str) -> None:
    def source(path: str) -> str:
        (line,) = re.findall(rf"^  {re.escape(path)} .*$", plan, re.M)
        return line.split()[-1]

    assert source("critic.reduction") == "td3.flowrl:17"
    assert source("critic.discount") == "default"
    assert source("train.batch") == "--set"


def test_the_plan_counts_parameters_products_and_executables(plan: str) -> None:
    weights = (17 + 6) * 8 + 8 + 8 + 1
    assert re.search(rf"^  critic +{2 * weights}$", plan, re.M)
    assert "executables      1, host callbacks 0" in plan
    # forward: 4 rows through 2 x (23 x 8 + 8) weights, 2 flop each; the whole step takes several such passes
    assert re.search(r"matrix products  [\d.]+ kflop", plan)


def test_the_plan_is_printed_as_json(planned: Plan, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    monkeypatch.setattr("flowrl_dsl.driver.compile_plan", lambda *_: planned)
    assert cli.main(["compile", "td3", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["name"], found["task"], found["observations"], found["actions"]) == ("td3", None, 17, 6)
    assert found["taxonomy"]["backbone"] == "deterministic" and found["order"] == "critic -> every(2, policy -> targets)"
    assert {"path": "train.batch", "value": "4", "origin": "--set"} in found["settings"]
    assert found["parameters"]["critic"] == 2 * ((17 + 6) * 8 + 8 + 8 + 1)
    assert [one["name"] for one in found["passes"]] == [*PIPELINE] and found["phases"] == found["rollout"] == []
    assert found["update"]["executables"] == 1 and found["update"]["host_callbacks"] == 0 and found["update"]["flops"] > 0
    assert cli.main(["compile", "td3", "--json", "--emit", "graph"]) == 2 and "--emit" in capsys.readouterr().err


def test_the_plan_says_what_each_pass_saved(plan: str) -> None:
    table = plan.split("passes over the step\n")[1].split("\n\n")[0].splitlines()
    assert [line.split()[0] for line in table] == [*PIPELINE, "total"]
    assert all(re.search(r"\d+ nodes  +\d+ changed", line) for line in table[:-1]) and "flop" in table[-1]


def test_what_a_pass_did_is_shown_as_a_change() -> None:
    applied = [Applied("one", 80, 80, 3), Applied("two", 80, 75, 0)]
    rows = [
        ("one", "80 nodes", "3 changed"),
        ("two", "80 -> 75 nodes", "0 changed"),
        ("total", "4 Mflop -> 1 Mflop", "75.0% fewer"),
    ]
    shown = _pass_table(applied, (4_000_000, 1_000_000)).splitlines()[1:]
    assert shown == [f"  {name:<5}  {nodes:<18}  {changed}" for name, nodes, changed in rows]
    assert _pass_table((), (7, 7)).splitlines()[1:] == ["  total  7 flop"]


def test_passes_are_chosen_by_name(capsys) -> None:
    def nodes(*words: str) -> int:
        assert cli.main(["compile", "td3", "--emit", "graph", *words]) == 0
        return len(capsys.readouterr().out.splitlines())

    assert nodes("--passes", "none") > nodes("--passes", "all") == nodes()
    assert nodes("--passes", "dce,cse") == nodes("--passes", "cse, dce") == nodes("--passes", "cse,dce")


@pytest.mark.parametrize(
    ("names", "hint"),
    [("dec", 'did you mean "dce"?'), ("cse,", "expected none, all, or names of "), ("none,dce", "")],
)
def test_an_unknown_pass_is_wrong_usage(names: str, hint: str, capsys) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main(["compile", "td3", "--passes", names])
    assert caught.value.code == 2 and hint in capsys.readouterr().err


@pytest.mark.parametrize("spec", SPECS)
def test_the_resolved_spec_means_the_same(spec: str, tmp_path: Path) -> None:
    path = tmp_path / f"{spec}.flowrl"
    path.write_text(compile_report(spec, "spec", None, ()))
    again = resolve(str(path)).algorithm
    original, _ = resolve_or_raise(spec, None, ())
    ignored = {"origins": {}}
    assert again is not None
    assert build_graphs(again, 5, 2) == build_graphs(original.model_copy(update=ignored), 5, 2)


@pytest.mark.parametrize("spec", SPECS)
def test_the_graph_text_parses_back(spec: str) -> None:
    algorithm, _ = resolve_or_raise(spec, None, ())
    graphs = build_graphs(algorithm, 17, 6).graphs
    texts = ["graph " + part for part in ("\n" + compile_report(spec, "graph", None, ())).split("\ngraph ")[1:]]
    assert [parse_graph(text) for text in texts] == list(graphs.values())


@pytest.mark.parametrize("spec", SPECS)
def test_printed_python_imports_nothing_of_ours(spec: str) -> None:
    tree = ast.parse(compile_report(spec, "python", None, ()))
    modules = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    modules |= {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert modules - {"functools"} == {"zlib", "flax.linen", "jax", "jax.numpy", "optax"}
    assert {"init", "step", "explore", "evaluate"} <= {n.name for n in tree.body if isinstance(n, ast.FunctionDef)}


@pytest.mark.parametrize(("form", "start"), [("tree", "File"), ("jaxpr", "let "), ("hlo", "HloModule")])
def test_other_forms(form: str, start: str) -> None:
    assert form in EMITTED
    text = compile_report("td3", form, None, TINY)
    assert text.startswith(start)
    assert form == "tree" or "dot" in text


def test_a_task_gives_the_sizes(capsys) -> None:
    assert cli.main(["compile", "td3", "--task", "InvertedPendulum-v5", "--emit", "python"]) == 0
    text = capsys.readouterr().out
    assert "Observations have 4 components, actions 1." in text
    # what is published does not say in which folder its spec lay
    assert "  # td3.flowrl:" in text and str(shipped_specs()["td3"].parent) not in text


def test_output_goes_to_a_file(tmp_path: Path, capsys) -> None:
    path = tmp_path / "td3.py"
    assert cli.main(["compile", "td3", "--emit", "python", "-o", str(path)]) == 0
    assert "def step(state, batch, hyper):" in path.read_text() and capsys.readouterr().out == ""


def test_a_wrong_spec_is_told_in_words(tmp_path: Path, capsys) -> None:
    assert cli.main(["compile", str(tmp_path / "none.flowrl")]) == 1
    assert "FRL0101" in capsys.readouterr().err
