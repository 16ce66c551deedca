"""The server as an editor starts it, driven by the client of pygls over standard input and output."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from lsprotocol import types
from pygls.exceptions import JsonRpcException
from pygls.lsp.client import LanguageClient

from flowrl_dsl import cli
from flowrl_dsl.codes import editor as codes
from flowrl_dsl.editor.positions import Positions
from flowrl_dsl.resources import folder
from tests.editor.helpers import CURSOR, SPECS

ROOT = Path(__file__).parents[2]
PLUGIN = "print('a plugin that prints')\n"
BASE = 'algorithm base extends "qsm.flowrl" {\n  param speed = 1 in (0, 2]\n  improve speed * score_matching { }\n}\n'
CHILD = """algorithm child extends "base file.flowrl" {
  # 😀
  param spare = 1 in (0, 2]
  improve speed * score_matching { }
}
"""


class Session:
    """A client with its server; texts are given with a cursor."""

    def __init__(self, home: Path, encodings: list[types.PositionEncodingKind] | None = None):
        self.home, self.encodings = home, encodings
        self.loop = asyncio.new_event_loop()
        self.client = LanguageClient("tests", "1")
        self.found: dict[str, types.PublishDiagnosticsParams] = {}
        self.arrived = asyncio.Event()

        @self.client.feature(types.TEXT_DOCUMENT_PUBLISH_DIAGNOSTICS)
        def arrive(params: types.PublishDiagnosticsParams) -> None:
            self.found[params.uri] = params
            self.arrived.set()

    def start(self) -> types.InitializeResult:
        env = os.environ | {"PYTHONPATH": os.pathsep.join([str(self.home / "site"), str(ROOT)])}
        command = [sys.executable, "-m", "flowrl_dsl.cli", "lsp", "--stdio"]
        self.wait(self.client.start_io(*command, env=env, cwd=self.home))
        general = types.GeneralClientCapabilities(position_encodings=self.encodings)
        workspace = [types.WorkspaceFolder(self.uri("")[:-1], "home")]
        asked = types.InitializeParams(types.ClientCapabilities(general=general), workspace_folders=workspace)
        result = self.wait(self.client.initialize_async(asked))
        self.client.initialized(types.InitializedParams())
        return result

    def stop(self) -> tuple[int | None, str]:
        """End the session; the exit code and what the server logged."""
        server = self.client._server
        assert server is not None and server.stderr is not None
        self.wait(self.client.shutdown_async(None))
        self.client.exit(None)
        logged = self.wait(server.stderr.read()).decode()
        self.wait(self.client.stop())
        self.loop.close()
        return server.returncode, logged

    def wait(self, awaitable):
        return self.loop.run_until_complete(asyncio.wait_for(awaitable, 60))

    def uri(self, name: str) -> str:
        return f"file://{quote(str(self.home))}/{quote(name)}"

    def open(self, name: str, text: str, version: int = 1) -> types.PublishDiagnosticsParams:
        item = types.TextDocumentItem(self.uri(name), "flowrl", version, text.replace(CURSOR, ""))
        self.client.text_document_did_open(types.DidOpenTextDocumentParams(item))
        return self.diagnostics(name, version)

    def change(self, name: str, text: str, version: int) -> types.PublishDiagnosticsParams:
        self.client.text_document_did_change(
            types.DidChangeTextDocumentParams(
                types.VersionedTextDocumentIdentifier(version, self.uri(name)),
                [types.TextDocumentContentChangeWholeDocument(text.replace(CURSOR, ""))],
            )
        )
        return self.diagnostics(name, version)

    def diagnostics(self, name: str, version: int) -> types.PublishDiagnosticsParams:
        async def arrival():
            while (found := self.found.get(self.uri(name))) is None or found.version != version:
                self.arrived.clear()
                await self.arrived.wait()
            return found

        return self.wait(arrival())

    def at(self, name: str, text: str) -> tuple[types.TextDocumentIdentifier, types.Position]:
        before, _, after = text.partition(CURSOR)
        line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
        position = Positions(before + after).position(line, column)
        return types.TextDocumentIdentifier(self.uri(name)), types.Position(*position)


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    home = tmp_path_factory.mktemp("a home")
    (home / "base file.flowrl").write_text(BASE)
    (home / "child.flowrl").write_text(CHILD, encoding="utf-8")
    info = home / "site" / "mine-1.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: mine\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[flowrl_dsl.components]\nmine = printing\n")
    (home / "site" / "printing.py").write_text(PLUGIN)
    session = Session(home)
    session.start()
    yield session
    code, logged = session.stop()
    assert code == 0
    assert logged == "a plugin that prints\n", "the log holds what a plugin prints, and no errors"


def test_findings_are_published_as_one_types(session: Session) -> None:
    assert session.open("qsm.flowrl", SPECS["qsm"]).diagnostics == ()
    (found,) = session.change("qsm.flowrl", SPECS["qsm"].replace("diffusion(", "difusion("), 2).diagnostics
    assert (found.code, found.severity, found.source) == ("FRL0211", types.DiagnosticSeverity.Error, "flowrl-dsl")
    assert 'did you mean "diffusion"?' in found.message
    assert session.change("qsm.flowrl", SPECS["qsm"], 3).diagnostics == ()


def test_a_quick_fix(session: Session) -> None:
    (found,) = session.open("fix.flowrl", SPECS["qsm"].replace("mish", "mich", 1)).diagnostics
    context = types.CodeActionContext([found], only=[types.CodeActionKind.QuickFix])
    document = types.TextDocumentIdentifier(session.uri("fix.flowrl"))
    (action,) = session.wait(
        session.client.text_document_code_action_async(types.CodeActionParams(document, found.range, context))
    )
    assert action.title == "replace mich by mish" and action.is_preferred
    assert [*action.edit.changes[document.uri]] == [types.TextEdit(found.range, "mish")]


def test_a_change_of_a_base_is_seen_in_the_specs_that_extend_it(session: Session) -> None:
    session.open("base file.flowrl", BASE)
    (spare,) = session.open("child.flowrl", CHILD).diagnostics
    assert spare.code == "FRL0225" and spare.tags == (types.DiagnosticTag.Unnecessary,)
    before = session.found.pop(session.uri("child.flowrl"))
    session.change("base file.flowrl", BASE.replace("speed", "pace"), 2)
    after = session.diagnostics("child.flowrl", 1).diagnostics
    assert len(after) > len(before.diagnostics)
    session.found.pop(session.uri("child.flowrl"))
    session.change("base file.flowrl", BASE, 3)
    assert len(session.diagnostics("child.flowrl", 1).diagnostics) == 1


def test_completion(session: Session) -> None:
    text = SPECS["qsm"].replace("target    = -sigma", f"target    = -sig{CURSOR}ma")
    session.open("complete.flowrl", text)
    document, position = session.at("complete.flowrl", text)
    found = session.wait(session.client.text_document_completion_async(types.CompletionParams(document, position)))
    (sigma,) = [item for item in found.items if item.label == "sigma"]
    assert sigma.text_edit.new_text == "sigma" and sigma.text_edit.range.end.character - position.character == 2
    assert "[batch]" in sigma.documentation.value


def test_hover_signature_and_definition(session: Session) -> None:
    text = SPECS["qsm"].replace("ddpm(steps", f"ddpm(st{CURSOR}eps")
    session.open("hover.flowrl", text)
    document, position = session.at("hover.flowrl", text)
    client = session.client
    hover = session.wait(client.text_document_hover_async(types.HoverParams(document, position)))
    assert "`ddpm.steps`" in hover.contents.value and hover.range.start.character == position.character - 2
    help_ = session.wait(client.text_document_signature_help_async(types.SignatureHelpParams(document, position)))
    assert help_.signatures[0].label.startswith("ddpm(steps") and help_.active_parameter == 0
    where = types.Position(position.line, position.character - 5)
    (there,) = session.wait(client.text_document_definition_async(types.DefinitionParams(document, where)))
    assert there.uri.endswith("/components/samplers/ddpm.py")


def test_definition_in_the_library(session: Session) -> None:
    text = SPECS["qsm_dpmd"].replace("shortened(", f"short{CURSOR}ened(")
    session.open("library.flowrl", text)
    document, position = session.at("library.flowrl", text)
    (there,) = session.wait(session.client.text_document_definition_async(types.DefinitionParams(document, position)))
    line = (folder("grammar") / "stdlib.flowrl").read_text().split("\n")[there.range.start.line]
    assert there.uri.endswith("grammar/stdlib.flowrl") and line.startswith("def shortened(")


def test_references_and_renaming_across_files(session: Session) -> None:
    session.open("base file.flowrl", BASE, 4)
    text = BASE.replace("speed *", f"sp{CURSOR}eed *")
    document, position = session.at("base file.flowrl", text)
    context = types.ReferenceContext(include_declaration=True)
    found = session.wait(session.client.text_document_references_async(types.ReferenceParams(context, document, position)))
    assert [place.uri for place in found] == [session.uri("base file.flowrl")] * 2 + [session.uri("child.flowrl")]
    whole = session.wait(session.client.text_document_prepare_rename_async(types.PrepareRenameParams(document, position)))
    assert (whole.start.character, whole.end.character) == (10, 15)
    edit = session.wait(session.client.text_document_rename_async(types.RenameParams(document, position, "pace")))
    assert {uri: len(edits) for uri, edits in edit.changes.items()} == {
        session.uri("base file.flowrl"): 2,
        session.uri("child.flowrl"): 1,
    }
    with pytest.raises(JsonRpcException, match=r'FRL0471: "mean" is a function'):
        session.wait(session.client.text_document_rename_async(types.RenameParams(document, position, "mean")))


def test_symbols_folds_tokens_and_layout(session: Session) -> None:
    text = SPECS["qsm"].replace("  regime", " regime")
    session.open("layout.flowrl", text)
    document, client = types.TextDocumentIdentifier(session.uri("layout.flowrl")), session.client
    (top,) = session.wait(client.text_document_document_symbol_async(types.DocumentSymbolParams(document)))
    assert top.name == "qsm" and len(top.children) > 8
    assert session.wait(client.text_document_folding_range_async(types.FoldingRangeParams(document)))
    tokens = session.wait(client.text_document_semantic_tokens_full_async(types.SemanticTokensParams(document)))
    assert len(tokens.data) % 5 == 0 and min(tokens.data) >= 0 and sum(tokens.data[::5]) < text.count("\n")
    asked = types.DocumentFormattingParams(document, types.FormattingOptions(2, True))
    (edit,) = session.wait(client.text_document_formatting_async(asked))
    assert edit.new_text == SPECS["qsm"] and edit.range.start == types.Position(0, 0)
    session.change("layout.flowrl", text[:-3], 2)
    assert not session.wait(client.text_document_formatting_async(asked))


def test_characters_beyond_the_basic_plane_have_two_units(session: Session) -> None:
    text = 'algorithm x "😀" extends "qsm.flowrl" { act { explor = mean } }'
    (found, *_) = session.open("wide.flowrl", text).diagnostics
    assert found.range.start.character == text.index("explor") + 1


def test_a_text_without_a_file_and_one_that_is_closed(session: Session) -> None:
    uri = "untitled:Untitled-1"
    item = types.TextDocumentItem(uri, "flowrl", 1, 'algorithm x extends "qsm.flowrl" { act { explor = mean } }')
    session.client.text_document_did_open(types.DidOpenTextDocumentParams(item))

    async def arrival(count: int):
        while uri not in session.found or (len(session.found[uri].diagnostics) > 0) != (count > 0):
            session.arrived.clear()
            await session.arrived.wait()

    session.wait(arrival(1))
    session.client.text_document_did_close(types.DidCloseTextDocumentParams(types.TextDocumentIdentifier(uri)))
    session.wait(arrival(0))


def test_a_client_that_counts_bytes(tmp_path: Path) -> None:
    session = Session(tmp_path, [types.PositionEncodingKind.Utf8])
    assert session.start().capabilities.position_encoding == types.PositionEncodingKind.Utf8
    text = 'algorithm x "😀" extends "qsm.flowrl" { act { explor = mean } }'
    (found, *_) = session.open("wide.flowrl", text).diagnostics
    assert found.range.start.character == text.index("explor") + 3
    assert session.stop()[0] == 0


IMPORTS = """
import sys
from flowrl_dsl.editor import server
from flowrl_dsl.editor.completion import complete
from flowrl_dsl.editor.hover import hover
from tests.editor.helpers import view_of
view = view_of("qsm")
assert view.findings == [] and complete(view, (10, 20)) and hover(view, (10, 20)) is not None
print(sorted({"jax", "flax", "optax", "gymnasium", "mujoco"} & set(sys.modules)))
"""


def test_the_server_does_not_import_jax() -> None:
    done = subprocess.run([sys.executable, "-c", IMPORTS], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_without_pygls_the_command_names_the_extra(tmp_path: Path) -> None:
    (tmp_path / "pygls.py").write_text("raise ModuleNotFoundError(\"No module named 'pygls'\", name='pygls')\n")
    env = os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])}
    command = [sys.executable, "-m", "flowrl_dsl.cli", "lsp"]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    assert done.returncode == 3
    assert "error[FRL0470]" in done.stderr and "pip install 'flowrl-dsl[lsp]'" in done.stderr
    assert "Traceback" not in done.stderr


def test_every_code_of_the_server_is_raised_and_explained(capsys: pytest.CaptureFixture[str]) -> None:
    files = [*(ROOT / "flowrl_dsl/editor").glob("*.py"), ROOT / "flowrl_dsl/commands/lsp.py"]
    raised = {code for path in files for code in re.findall(r'"(FRL04\d\d)"', path.read_text())}
    assert raised == {code.code for code in codes.CODES}
    for code in codes.CODES:
        assert cli.main(["explain", code.code]) == 0 and code.title in capsys.readouterr().out
