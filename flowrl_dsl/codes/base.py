"""The entry of the table of codes."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Code:
    """``example`` is a smallest file that brings the diagnostic about, or what to type at the shell."""

    code: str
    title: str
    explanation: str
    example: str
    cure: str
