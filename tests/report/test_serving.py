"""The live page: what it answers, and to whom."""

from __future__ import annotations

import http.client
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from flowrl_dsl.report import serving
from flowrl_dsl.report.serving import Server
from flowrl_dsl.runtime.errors import RunError
from tests.report.folders import run_folder


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[Server, Path]]:
    run = run_folder(tmp_path / "run")
    with Server([run]) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server, run
        server.shutdown()
        thread.join()


def _ask(server: Server, method: str = "GET", path: str = "/", host: str | None = None) -> tuple[int, str, dict[str, str]]:
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=20)
    connection.putrequest(method, path, skip_host=True)
    connection.putheader("Host", host or f"127.0.0.1:{server.server_port}")
    connection.endheaders()
    answer = connection.getresponse()
    return answer.status, answer.read().decode(), dict(answer.getheaders())


def test_the_page_is_read_again(served: tuple[Server, Path], monkeypatch) -> None:
    server, run = served
    status, text, headers = _ask(server)
    assert status == 200 and "3.0 ± 0.5" in text and '"live": true' in text
    assert headers["Cache-Control"] == "no-store" and "connect-src 'self'" in headers["Content-Security-Policy"]
    with (run / "metrics.jsonl").open("a") as file:
        file.write('{"kind": "eval", "step": 30, "return_mean": 77.0, "return_std": 0.5}\n{"kind": "ev')
    assert _ask(server)[1] == text  # less than a second later
    monkeypatch.setattr(serving, "_FRESH", 0.0)
    assert "77.0 ± 0.5" in _ask(server)[1]
    (run / "run.json").write_text("{")
    status, text, _ = _ask(server)
    assert status == 503 and "FRL0411" in text


def test_get_alone(served: tuple[Server, Path]) -> None:
    for method in ("POST", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD"):
        status, _, headers = _ask(served[0], method)
        assert (status, headers["Allow"]) == (405, "GET")


@pytest.mark.parametrize(
    "path", ["/run.json", "/../run/run.json", "//etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "/?x=1", "*"]
)
def test_no_path_leads_to_a_file(served: tuple[Server, Path], path: str) -> None:
    status, text, _ = _ask(served[0], path=path)
    assert status == 404 and text == "there is one page, at /\n"


def test_only_this_machine_is_answered(served: tuple[Server, Path]) -> None:
    """The socket is bound to the loopback; a name of another site that leads there is refused."""
    server, _ = served
    assert server.server_address[0] == "127.0.0.1"
    for host in ("example.com", f"example.com:{server.server_port}", "127.0.0.1:1"):
        assert _ask(server, host=host)[0] == 403
    assert _ask(server, host=f"localhost:{server.server_port}")[0] == 200


def test_a_port_that_is_taken_is_an_error(served: tuple[Server, Path]) -> None:
    with pytest.raises(RunError, match="FRL0485"):
        Server([served[1]], served[0].server_port)


def test_the_command_serves_until_it_is_interrupted(tmp_path: Path) -> None:
    run = run_folder(tmp_path / "run")
    # a shell starts jobs in the background with this signal ignored, and their children inherit that
    heeding = (
        "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); from flowrl_dsl.cli import main; "
    )
    command = [sys.executable, "-c", f"{heeding}sys.exit(main(sys.argv[1:]))", "report", str(run), "--watch"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            address = re.match(r"http://127\.0\.0\.1:(\d+)/ ", process.stdout.readline())
            connection = http.client.HTTPConnection("127.0.0.1", int(address[1]), timeout=20)
            connection.request("GET", "/")
            assert connection.getresponse().status == 200
            process.send_signal(signal.SIGINT)
            assert process.wait(20) == 0 and process.stdout.read() == "ended\n"
        finally:
            process.kill()
    assert {path.name for path in run.iterdir()} == {"run.json", "resolved.flowrl", "spec", "metrics.jsonl", "timing.jsonl"}
