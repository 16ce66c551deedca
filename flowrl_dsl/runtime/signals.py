"""SIGINT (Ctrl-C), SIGTERM, and the SIGHUP, SIGUSR1 and SIGUSR2 of terminals and clusters, handled between two steps."""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Any

_HANGUP = getattr(signal, "SIGHUP", None)
_NAMES = ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2")
_SIGNALS = [getattr(signal, name) for name in _NAMES if hasattr(signal, name)]


class Stop:
    """``with Stop() as stop:`` sets ``stop.asked`` at the first of these signals; a Ctrl-C after it interrupts at once.

    The others may come again: a cluster warns a job by one signal and ends it by another, while its checkpoint is written.
    A SIGHUP that is ignored, as under ``nohup``, stays so.
    """

    def __init__(self) -> None:
        self.asked = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Stop:
        # Python delivers signals to the main thread only, and only it may install handlers
        if threading.current_thread() is threading.main_thread():
            for number in _SIGNALS:
                if number == _HANGUP and signal.getsignal(number) is signal.SIG_IGN:
                    continue
                self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.asked and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.asked = True
