"""SIGINT (Ctrl-C), SIGTERM, and the SIGHUP and SIGUSR1 of terminals and clusters, handled between two steps."""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Any

_HANGUP = getattr(signal, "SIGHUP", None)
_SIGNALS = [signal.SIGINT, signal.SIGTERM, *(s for s in (_HANGUP, getattr(signal, "SIGUSR1", None)) if s is not None)]


class Stop:
    """``with Stop() as stop:`` sets ``stop.asked`` at the first of these signals; the second one interrupts at once.

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
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True
