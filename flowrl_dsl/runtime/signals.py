"""SIGINT (Ctrl-C) and SIGTERM, handled between two steps."""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Any


class Stop:
    """``with Stop() as stop:`` sets ``stop.asked`` at the first SIGINT or SIGTERM; the second one interrupts at once."""

    def __init__(self) -> None:
        self.asked = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Stop:
        # Python delivers signals to the main thread only, and only it may install handlers
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True
