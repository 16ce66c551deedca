"""FRL02xx: text that is the language but says something that cannot be; one file for each theme, in order."""

from __future__ import annotations

from flowrl_dsl.codes.spec import declarations, formulas, options, order, overrides, structure, suites

_THEMES = (structure, options, declarations, order, formulas, overrides, suites)

CODES = tuple(code for theme in _THEMES for code in theme.CODES)
