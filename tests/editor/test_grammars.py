"""Colours without a server: the Pygments lexer and the TextMate grammar; and the files that editors and hooks read."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from pygments.token import Comment, Error, Keyword, Name, Number, Operator, Punctuation, String

from flowrl_dsl import cli
from flowrl_dsl.axes import AXES
from flowrl_dsl.commands import commands
from flowrl_dsl.editor.pygmented import FlowrlLexer
from flowrl_dsl.formula import PRIMITIVES
from flowrl_dsl.registry import members_of, sections
from flowrl_dsl.resources import folder
from flowrl_dsl.syntax.lexer import Lexer, language
from tests.editor.helpers import SPECS

ROOT = Path(__file__).parents[2]
EDITORS = ROOT / "grammar" / "editors"
LIBRARY = (folder("grammar") / "stdlib.flowrl").read_text(encoding="utf-8")


# --- Pygments


@pytest.mark.parametrize("text", [*SPECS.values(), LIBRARY], ids=[*SPECS, "stdlib"])
def test_pygments_reads_a_spec_without_errors_and_gives_it_back(text: str) -> None:
    found = list(FlowrlLexer().get_tokens(text))
    assert "".join(value for _, value in found) == text
    assert [value for kind, value in found if kind in Error] == []
    tokens = Lexer(text, "spec").tokens
    coloured = [value for kind, value in found if kind in Keyword and kind not in Keyword.Pseudo]
    assert coloured == [str(token) for token in tokens if str(token) in language().keywords]
    assert [value for kind, value in found if kind in Number] == [str(token) for token in tokens if token.type == "NUMBER"]


def test_every_reserved_word_has_a_colour_wherever_it_stands() -> None:
    for word in language().keywords:
        kinds = {kind for kind, value in FlowrlLexer().get_tokens(f"{word} x = {word}(1)") if value == word}
        assert kinds and all(kind in Keyword for kind in kinds), word


def test_names_of_the_registry_have_colours() -> None:
    text = "policy { backbone = diffusion }\nimprove score_matching { target = -Q(s, a_t) * mean(a, over = batch) }"
    kinds = {value: kind for kind, value in FlowrlLexer().get_tokens(text)}
    assert kinds["policy"] is Name.Namespace and kinds["backbone"] is Name.Attribute and kinds["diffusion"] is Name.Class
    assert kinds["Q"] is kinds["mean"] is Name.Builtin and kinds["a_t"] is Name.Variable and kinds["batch"] is Name.Constant
    assert kinds["{"] is Punctuation and kinds["*"] is Operator


def test_what_is_not_of_the_language_is_an_error() -> None:
    found = list(FlowrlLexer().get_tokens('policy { a = 1; b = "x" } # c'))
    assert [value for kind, value in found if kind is Error] == [";"]
    assert {kind for kind, _ in found} >= {String, Comment.Single}


def test_pygments_finds_the_lexer_by_its_entry_point(tmp_path: Path) -> None:
    points = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]["pygments.lexers"]
    info = tmp_path / "site" / "named-1.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: named\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[pygments.lexers]\n" + "\n".join(f"{k} = {v}" for k, v in points.items()))
    (tmp_path / "mine.flowrl").write_text(SPECS["bc"])
    env = os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path / "site"), str(ROOT)])}
    command = [sys.executable, "-m", "pygments", "-f", "html", "mine.flowrl"]
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, check=True)
    assert '<span class="k">algorithm</span>' in done.stdout and 'class="err"' not in done.stdout


# --- TextMate


def _generator():
    spec = importlib.util.spec_from_file_location("textmate", EDITORS / "textmate.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


TEXTMATE = _generator()


def test_the_textmate_grammar_is_up_to_date() -> None:
    assert TEXTMATE.FILE.read_text(encoding="utf-8") == TEXTMATE.textmate(), "run python grammar/editors/textmate.py"


def test_the_words_of_the_textmate_grammar_are_those_of_the_language() -> None:
    words = TEXTMATE.words()
    assert {*words["keywords"], *words["constants"]} == {*language().keywords}
    own = {name for name, cls in sections().items() if cls.__module__.startswith("flowrl_dsl.")}
    assert {*words["sections"]} == {"phase", *own} and {*words["axes"]} == {*AXES}
    assert {*words["functions"]} > {*PRIMITIVES, "grad", "Q", "log_prob", "top1"}
    assert {"score_matching", "reparameterized"} <= {*words["mechanisms"]} <= {*members_of("mechanism")}


def _scopes(line: str) -> dict[str, str]:
    """The scope of each stretch of a line by the first pattern that fits, as an editor colours it; no strings inside."""
    patterns = [(re.compile(one["match"]), one) for one in json.loads(TEXTMATE.textmate())["patterns"] if "match" in one]
    found, at = {}, 0
    while at < len(line):
        fits = [(match.start(), n) for n, (pattern, _) in enumerate(patterns) if (match := pattern.search(line, at))]
        if not fits:
            break
        _, number = min(fits)
        pattern, one = patterns[number]
        match = pattern.search(line, at)
        parts = {0: one["name"]} if "name" in one else {int(key): value["name"] for key, value in one["captures"].items()}
        found |= {match[group]: scope for group, scope in parts.items()}
        at = max(match.end(), at + 1)
    return found


LINES: dict[str, dict[str, str]] = {
    "  param temperature = 0.1 in (0, inf)  # why": {
        "param": "keyword.other",
        "temperature": "variable.other.constant",
        "0.1": "constant.numeric",
        "in": "keyword.other",
        "inf": "constant.language",
        "# why": "comment.line.number-sign",
    },
    "policy behavior { network = mlp([1_000])": {
        "policy": "entity.name.section",
        "network": "variable.other.property",
        "mlp": "entity.name.type",
        "1_000": "constant.numeric",
    },
    "improve 0.5 * score_matching {": {"improve": "keyword.other", "score_matching": "entity.name.type"},
    "let g = grad(mean(Q(s, a), over = ensemble), wrt = a)": {
        "let": "keyword.other",
        "g": "variable.other.constant",
        "grad": "support.function",
        "Q": "support.function",
        "over": "variable.other.property",
        "ensemble": "support.constant",
    },
    "def f(x) = x <= 2": {"def": "keyword.other", "f": "entity.name.function", "<=": "keyword.operator"},
    "order = critic -> policy": {"order": "variable.other.property", "->": "keyword.operator"},
}


@pytest.mark.parametrize("line", LINES)
def test_scopes_of_the_textmate_grammar(line: str) -> None:
    found = _scopes(line)
    assert {text: found.get(text) for text in LINES[line]} == {text: f"{one}.flowrl" for text, one in LINES[line].items()}


def test_brackets_of_a_range_are_not_paired_with_others() -> None:
    """``(0, 10]`` closes what it opens; an editor that pairs brackets by kind would mark both as errors."""
    (rule,) = [one for one in json.loads(TEXTMATE.textmate())["patterns"] if one.get("begin", "").startswith(r"\b(in)")]
    text = "param x = 0.1 in (0, 10]  y = f([1])"
    opening = re.search(rule["begin"], text)
    closing = re.compile(rule["end"]).search(text, opening.end())
    assert text[opening.start() : closing.end()] == "in (0, 10]"
    scopes = {rule["beginCaptures"]["2"]["name"], rule["endCaptures"]["0"]["name"]}
    (grammar,) = json.loads((EDITORS / "vscode" / "package.json").read_text())["contributes"]["grammars"]
    assert scopes == {f"{scope}.flowrl" for scope in grammar["unbalancedBracketScopes"]}


# --- the extension and the hooks


def test_the_extension_names_files_and_a_command_that_exist() -> None:
    home = EDITORS / "vscode"
    package = json.loads((home / "package.json").read_text())
    assert package["version"] == tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    contributed = package["contributes"]
    paths = [contributed["languages"][0]["configuration"], contributed["grammars"][0]["path"]]
    assert all(json.loads((home / path).read_text()) for path in paths)
    program, command = contributed["configuration"]["properties"]["flowrl.command"]["default"]
    assert program == "flowrl-dsl" and command in commands()
    script = (home / "extension.js").read_text()
    offered = {one["command"] for one in contributed["commands"]}
    assert offered == {*re.findall(r'registerCommand\("([\w.]+)"', script)}
    bundle = package["scripts"]["bundle"]
    assert bundle.split()[1] == "extension.js" and package["main"].removeprefix("./") in bundle


def test_what_npm_brings_is_ignored() -> None:
    ignored = (ROOT / ".gitignore").read_text().split()
    assert {"node_modules/", "*.vsix"} <= {*ignored}
    build = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]
    assert {"node_modules", "*.vsix"} <= {*build["sdist"]["exclude"]}
    assert not any((ROOT / path).is_dir() for path in build["wheel"]["force-include"] if path.startswith("grammar"))
    assert {path.name for path in folder("grammar").iterdir() if path.is_file()} == {
        Path(path).name for path in build["wheel"]["force-include"] if path.startswith("grammar")
    }


HOOK = re.compile(r"- id: (\S+)\n(?:  (?!entry).*\n)*  entry: flowrl-dsl (.*)\n")
HOOKS = dict(HOOK.findall((ROOT / ".pre-commit-hooks.yaml").read_text()))


def test_hooks_check_and_format(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert {*HOOKS} == {"flowrl-check", "flowrl-fmt"}
    spec = tmp_path / "mine.flowrl"
    spec.write_text(SPECS["qsm"].replace("  regime", " regime"))
    assert cli.main([*HOOKS["flowrl-check"].split(), str(spec)]) == 0
    assert cli.main([*HOOKS["flowrl-fmt"].split(), str(spec)]) == 0
    assert spec.read_text() == SPECS["qsm"] and "changed" in capsys.readouterr().out
    spec.write_text(SPECS["qsm"].replace("mish", "mich"))
    assert cli.main([*HOOKS["flowrl-check"].split(), str(spec)]) == 1
