"""A headless Chromium, driven through its debugging pipe, for tests of pages."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

PROGRAM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
needed = pytest.mark.skipif(PROGRAM is None, reason="Chromium is not installed (apt-get install chromium)")

_OPTIONS = ("--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run", "--disable-extensions")
_OFFLINE = ("--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",)


class Browser:
    """One page of the browser; ``problems`` are what it has written to its console."""

    def __init__(self, write: int, read: int):
        self._write, self._read, self._rest = write, read, b""
        self._number, self._session = 0, ""
        self.problems: list[str] = []
        target = self._call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self._call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self._call(f"{domain}.enable")

    def open(self, url: str, width: int = 1280, height: int = 900) -> None:
        """Load a page, and wait until it is complete."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        self._call("Emulation.setDeviceMetricsOverride", **size)
        self._call("Page.navigate", url=url)
        self._until("Page.loadEventFired")

    def get(self, expression: str) -> Any:
        """The value of an expression of JavaScript; a promise is waited for."""
        answer = self._call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def mouse(self, kind: str, x: float, y: float, **options: Any) -> None:
        """``mouseMoved``, ``mousePressed`` or ``mouseReleased`` at a place of the window."""
        self._call("Input.dispatchMouseEvent", type=kind, x=x, y=y, **options)

    def picture(self, path: Path) -> None:
        """Write the whole page as a png."""
        shot = self._call("Page.captureScreenshot", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(shot["data"]))

    def _call(self, method: str, **parameters: Any) -> dict[str, Any]:
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        while (answer := self._next()).get("id") != self._number:
            pass
        assert "error" not in answer, answer
        return answer["result"]

    def _until(self, event: str) -> None:
        while self._next().get("method") != event:
            pass

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._rest:
            part = os.read(self._read, 1 << 20)
            assert part, "the browser has ended"
            self._rest += part
        text, _, self._rest = self._rest.partition(b"\0")
        message = json.loads(text)
        if message.get("method") == "Log.entryAdded":
            self.problems.append(message["params"]["entry"]["text"])
        if message.get("method") == "Runtime.exceptionThrown":
            self.problems.append(str(message["params"]["exceptionDetails"]))
        return message


@contextmanager
def opened(home: Path) -> Iterator[Browser]:
    """A browser with its profile below ``home``, without a network."""
    here, there = os.pipe(), os.pipe()
    command = [str(PROGRAM), *_OPTIONS, *_OFFLINE, f"--user-data-dir={home}", "--remote-debugging-pipe"]
    # the pipe is at the numbers 3 and 4, whatever is open there
    script = f'exec "$@" 3<&{here[0]} 4>&{there[1]}'
    process = subprocess.Popen(
        ["bash", "-c", script, "bash", *command],
        pass_fds=(here[0], there[1]),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(here[0])
    os.close(there[1])
    try:
        yield Browser(here[1], there[0])
    finally:
        os.close(here[1])
        process.terminate()
        process.wait(20)
        os.close(there[0])
