"""What is wrong where the grammar does not fit: one small rule for each kind of mistake, tried in order.

A rule sees the statement up to the first token that does not fit (:class:`Scene`) and either passes, or names the
mistake and the edit of the tokens that a person would make.  The edit lets the parser go on inside the same statement;
without one the rest of the statement is left unread.
"""

from __future__ import annotations

from flowrl_dsl.syntax.mistakes import expressions, headers, values, words
from flowrl_dsl.syntax.mistakes.scene import Finding, Rule, Scene

RULES: tuple[Rule, ...] = (
    words.repeated,
    words.quoted_section_name,
    words.second_section_name,
    headers.bad_range,
    headers.missing_in,
    headers.misplaced_range,
    headers.section_as_value,
    headers.missing_body,
    values.missing_value,
    values.swallowed_value,
    words.wrong_keyword,
    words.missing_task,
    words.string_expected,
    words.reserved_word,
    expressions.equal_in_expression,
    expressions.chained,
    words.hyphenated,
    words.name_expected,
    headers.definition_shape,
    headers.header_arguments,
    expressions.not_callable,
    headers.mechanism_arguments,
    headers.improve_weight,
    expressions.missing_equal,
    expressions.missing_comma,
    expressions.unexpected,
)
"""Every rule, in the order in which they are tried; the first that finds something is believed."""


def find(scene: Scene) -> Finding:
    """The first rule's finding that fits; the last rule always does."""
    return next(finding for rule in RULES if (finding := rule(scene)) is not None)
