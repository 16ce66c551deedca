"""Stretches of lines that an editor can fold: blocks in braces, runs of comments, long statements."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from flowrl_dsl.editor.document import Document


@dataclass(frozen=True)
class Fold:
    """From the first to the last line that remain visible, counted from 1."""

    first: int
    last: int
    comment: bool = False


def folds(document: Document) -> list[Fold]:
    """The folds of a text, in the order of their first lines."""
    found = {*_blocks(document), *_comments(document), *_statements(document)}
    return sorted((fold for fold in found if fold.last > fold.first), key=lambda fold: (fold.first, -fold.last))


def _blocks(document: Document) -> Iterator[Fold]:
    for block in document.outline.blocks():
        if block.opening is not None and block.closing is not None:
            own_line = block.closing.end_pos > block.closing.start_pos
            yield Fold(block.opening.line, block.closing.line - (1 if own_line else 0))


def _comments(document: Document) -> Iterator[Fold]:
    run: list[int] = []
    for line in [comment.span.line for comment in document.comments if not comment.trailing] + [-1]:
        if run and line != run[-1] + 1:
            yield Fold(run[0], run[-1], comment=True)
            run = []
        run.append(line)


def _statements(document: Document) -> Iterator[Fold]:
    for statement in document.outline.statements():
        if statement.body is None:
            yield Fold(statement.tokens[0].line, statement.tokens[-1].end_line)
