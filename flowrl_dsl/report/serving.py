"""The page of a report served while its runs go on: to this machine alone, and to read."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from flowrl_dsl.diagnostics import DiagnosticError
from flowrl_dsl.report.content import read
from flowrl_dsl.report.page import page, policy
from flowrl_dsl.runtime.errors import RunError

HOST = "127.0.0.1"
_FRESH = 1.0
"""Seconds for which a page that was made answers further requests."""


class Server(ThreadingHTTPServer):
    """Serves one page, at ``/``, made of the runs when it is asked for.

    Nothing is read at a path of a request.  Requests must name this machine as their host, so that a page of another
    site, whose name was made to lead here, is refused.
    """

    daemon_threads = True

    def __init__(self, paths: Sequence[Path], port: int = 0):
        """Raises FRL0485 for a port that cannot be had; port 0 is any free one."""
        try:
            super().__init__((HOST, port), _Handler)
        except (OSError, OverflowError) as error:
            raise RunError("FRL0485", f"the page cannot be served at port {port}: {error}", "leave out --port") from error
        self._paths, self._lock = list(paths), threading.Lock()
        self._made, self._text = -_FRESH, ""

    @property
    def address(self) -> str:
        return f"http://{HOST}:{self.server_port}/"

    def hosts(self) -> set[str]:
        """The names under which the page is asked for."""
        return {f"{name}:{self.server_port}" for name in (HOST, "localhost")}

    def text(self) -> str:
        """The page, at most a second old."""
        with self._lock:
            if time.monotonic() - self._made >= _FRESH:
                self._text, self._made = page(read(self._paths), live=True), time.monotonic()
            return self._text


class _Handler(BaseHTTPRequestHandler):
    server: Server
    server_version, sys_version = "flowrl-dsl", ""
    timeout = 10.0

    def do_GET(self) -> None:
        if self.headers.get("Host", "") not in self.server.hosts():
            self._answer(HTTPStatus.FORBIDDEN, "this page is served to 127.0.0.1 alone\n")
        elif self.path != "/":
            self._answer(HTTPStatus.NOT_FOUND, "there is one page, at /\n")
        else:
            try:
                self._answer(HTTPStatus.OK, self.server.text(), "text/html")
            except DiagnosticError as error:
                self._answer(HTTPStatus.SERVICE_UNAVAILABLE, f"{error}\n")

    def _refuse(self) -> None:
        self._answer(HTTPStatus.METHOD_NOT_ALLOWED, "GET alone\n")

    do_HEAD = do_POST = do_PUT = do_DELETE = do_PATCH = do_OPTIONS = _refuse

    def _answer(self, status: HTTPStatus, text: str, kind: str = "text/plain") -> None:
        body = text.encode()
        headers = {
            "Content-Type": f"{kind}; charset=utf-8",
            "Content-Length": str(len(body)),
            "Cache-Control": "no-store",
            "Content-Security-Policy": policy(live=True) + "; frame-ancestors 'none'",
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "no-referrer",
        }
        self.send_response(status)
        if status == HTTPStatus.METHOD_NOT_ALLOWED:
            self.send_header("Allow", "GET")
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """A page that is asked for every few seconds would fill the terminal."""

    def handle(self) -> None:
        try:
            super().handle()
        except (TimeoutError, ConnectionError):
            self.close_connection = True
