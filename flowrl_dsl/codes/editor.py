"""FRL047x: the language server."""

from __future__ import annotations

from flowrl_dsl.codes.base import Code

CODES = (
    Code(
        "FRL0470",
        "pygls is not installed",
        "The language server is an optional extra, because only editors start it.",
        "flowrl-dsl lsp",
        "pip install 'flowrl-dsl[lsp]' into the environment whose flowrl-dsl the editor starts.",
    ),
    Code(
        "FRL0471",
        "a name cannot be renamed",
        "Only names that a spec declares can be renamed: parameters, lets, definitions and their arguments, sections and "
        "phases with names of their own.  The new name must be free where the old one is used.",
        "renaming temperature to Q in an editor",
        "Choose a name that the message does not exclude; declare a name of a shipped spec again before renaming it.",
    ),
)
