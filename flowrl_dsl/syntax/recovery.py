"""Reads a token list with mistakes in it to the end, reporting each mistake once.

The result is a token list that the grammar accepts: every mistake is either mended (a forgotten comma inserted), or
its statement is left out.  What is left can be built into a tree, so that mistakes which only show there are reported
together with these.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

from flowrl_dsl.diagnostics import Diagnostics, Proposal, suggestion
from flowrl_dsl.syntax.brackets import STARTERS, WHOLES, first_on_line
from flowrl_dsl.syntax.machine import Cursor
from flowrl_dsl.syntax.mistakes import find
from flowrl_dsl.syntax.mistakes.scene import Edit, Scene, closest_keyword, describe, names_section
from flowrl_dsl.syntax.tokens import END, ERROR, Token, span_of, virtual

_MOST_EDITS = 50  # of one statement
_MOST_EDITS_OF_FILE = 500
_OPENERS = ("LPAR", "LSQB", "LBRACE")
_CLOSERS = ("RPAR", "RSQB", "RBRACE")


class Recovery:
    """One pass over bracket-balanced ``tokens`` that end with END; ``kept`` is what the grammar accepts of them."""

    def __init__(self, tokens: list[Token], start: str, file: str, diagnostics: Diagnostics):
        self.tokens, self.file, self.diagnostics = list(tokens), file, diagnostics
        self.whole_file = start == "file"
        self.fresh = self.cursor = self.mark = Cursor.at(start)
        self.clean: list[Token] | None = None  # the tokens that are no errors, until the next change
        self.errors: list[int] = []  # the indices of the others
        self.kept: list[Token] = []
        self.index = self.start = self.kept_at_mark = 0
        self.edits = 0  # in this statement
        self.edits_of_file = 0
        self.depth = 0  # open braces
        self.round = 0  # open parentheses and brackets
        self.outside: set[str] = set()  # what was reported outside algorithms: each once
        self.complete = False  # whether ``kept`` is a whole file

    def run(self) -> list[Token]:
        while self.index < len(self.tokens) and not self.diagnostics.full:
            self._step()
        return self.kept

    def _step(self) -> None:
        token = self.tokens[self.index]
        if token.type == ERROR:
            self.index += 1
            return
        if self._may_start(token):
            self._set_mark()
        cursor = None if self._lonely_word(token) else self.cursor.feed(token)
        if cursor is None:
            self._mend()
            return
        self._accept(token, cursor)

    def _accept(self, token: Token, cursor: Cursor) -> None:
        self.cursor = cursor
        self.kept.append(token)
        self.index += 1
        self.complete = token.type == END
        if token.type in ("LPAR", "LSQB"):
            self.round += 1
        elif token.type in ("RPAR", "RSQB"):
            self.round -= 1
        elif token.type in ("LBRACE", "RBRACE"):
            self.depth += 1 if token.type == "LBRACE" else -1
            self.start = self.index  # behind a brace something new begins
            self._set_mark()

    def _may_start(self, token: Token) -> bool:
        """Whether a statement may begin here: outside parentheses, and what came before may end here."""
        if self.round or self.index == self.start or not self.whole_file:
            return False
        ends = "RBRACE" if self.depth else END
        starts = token.type in STARTERS | WHOLES or token.type in ("NAME", "RBRACE")
        named = self._follows(self.index) in ("EQUAL", "LBRACE") and token.type not in _CLOSERS + _OPENERS
        return (starts or named) and self.cursor.takes([ends])

    def _lonely_word(self, token: Token) -> bool:
        """Whether a second word has no brace behind it, so that it is not the name of a section."""
        head = self.tokens[self.start]
        if not self.whole_file or self.index <= self.start or not head.type == token.type == "NAME":
            return False
        if any(between.type != ERROR for between in self.tokens[self.start + 1 : self.index]):
            return False
        return self._follows(self.index) != "LBRACE" or not names_section(head, token)

    def _set_mark(self) -> None:
        self.mark, self.start, self.kept_at_mark = self.cursor, self.index, len(self.kept)
        self.edits = self.round = 0

    def _restart(self) -> None:
        """Forget what was kept: from here on the tokens are read as another file."""
        self.kept, self.cursor, self.depth = [], self.fresh, 0
        self._set_mark()

    def _rewind(self) -> None:
        self.cursor, self.index, self.round = self.mark, self.start, 0
        del self.kept[self.kept_at_mark :]

    def _follows(self, index: int) -> str:
        return self.tokens[index + 1].type if index + 1 < len(self.tokens) else END

    # ------------------------------------------------------------------------------------------ inside an algorithm

    def _mend(self) -> None:
        if self.whole_file and self.depth == 0 and self.index == self.start:
            self._mend_outside()
            return
        if self.whole_file and self.tokens[self.index].type == END and self.index == self.start:
            self.index += 1  # nothing is left to leave out
            return
        end = self._statement_end()
        scene = self._scene()
        finding = find(scene)
        edit = self._translate(finding.edit, scene) if finding.edit and self._may_edit() else None
        if self._is_new(edit, end):
            self.diagnostics.extend([finding.diagnostic])
        if edit is None:
            self._give_up(end)
        else:
            self._apply(edit)

    def _may_edit(self) -> bool:
        """A bound for each statement and for the file, so that no pair of rules can keep mending each other."""
        return self.edits < _MOST_EDITS and self.edits_of_file < _MOST_EDITS_OF_FILE

    def _is_new(self, edit: Edit | None, end: int) -> bool:
        """Whether a mistake is one of its own, and not the shadow of one reported before."""
        if edit is not None:
            return all(at == 0 or self.tokens[at - 1].type != ERROR for at in (self.index, edit.at))
        line_start, line_end = self.start, self.index + 1
        while not first_on_line(self.tokens, line_start):
            line_start -= 1
        while line_end < len(self.tokens) and not first_on_line(self.tokens, line_end):
            line_end += 1
        spoiled = any(token.type == ERROR for token in self.tokens[line_start : max(end, line_end)])
        return not spoiled and self.edits == 0

    def _scene(self) -> Scene:
        """The statement without the places that were complained about already."""
        if self.clean is None:
            self.clean = [token for token in self.tokens if token.type != ERROR]
            self.errors = [index for index, token in enumerate(self.tokens) if token.type == ERROR]
        start, index = (at - bisect_left(self.errors, at) for at in (self.start, self.index))
        return Scene(self.clean, start, index, self.mark, self.cursor, self.file)

    def _change(self, at: int, drop: int, insert: Sequence[Token]) -> None:
        self.tokens[at : at + drop] = insert
        self.clean = None

    def _translate(self, edit: Edit, scene: Scene) -> Edit:
        """The edit in indices of our own list, which still has its error tokens."""
        if edit.at == scene.index:
            return Edit(self.index, edit.drop, edit.insert)
        target = scene.tokens[edit.at]
        at = next(i for i in range(self.index, -1, -1) if self.tokens[i] is target)
        return Edit(at, edit.drop, edit.insert)

    def _apply(self, edit: Edit) -> None:
        self._change(edit.at, edit.drop, edit.insert)
        self.edits += 1
        self.edits_of_file += 1
        if edit.at < self.index:
            self._rewind()

    def _give_up(self, end: int) -> None:
        """Leave the rest of the statement out; of one with a body leave out the header only."""
        brace = self._body(end)
        head = self.tokens[self.start].type
        self._rewind()
        if brace is None:
            self.index = max(end, self.start + 1) if end < len(self.tokens) - 1 else end
            self.start = self.index
            if self.whole_file:
                self._set_mark()
            elif end >= len(self.tokens) - 1:
                self.index = len(self.tokens)
            return
        near = self.tokens[brace]
        kinds = ["NAME"]
        if head in WHOLES or self.depth == 0:
            kinds = [head if head in WHOLES else "ALGORITHM", "NAME"]
        for kind in kinds:
            token = virtual(kind, near, "_")
            if not self.cursor.takes([kind]):  # an algorithm's header inside another: nothing before it counts any more
                self._restart()
            self.cursor = self.cursor.behind(token)
            self.kept.append(token)
        self.index = brace

    def _body(self, end: int) -> int | None:
        """The index of the brace that opens the statement's body, at or behind the mistake, or None."""
        if not self.whole_file or self.tokens[self.start].type == "DEF":
            return None
        depth = 0
        for index in range(self.start, end):
            kind = self.tokens[index].type
            if kind == "LBRACE" and depth == 0:
                value = self.tokens[index - 1].type in ("EQUAL", "COMMA", "LPAR", "LSQB")
                return None if value or index < self.index else index
            depth += (kind in _OPENERS) - (kind in _CLOSERS)
        return None

    def _statement_end(self) -> int:
        """The index behind the statement: the next statement's first token, the brace around it, or the end."""
        if not self.whole_file:
            return len(self.tokens) - 1
        depth = 0
        for index in range(self.start, len(self.tokens)):
            kind = self.tokens[index].type
            if depth == 0 and index > self.start and self._bounds(index):
                return index
            depth += (kind in _OPENERS) - (kind in _CLOSERS)
            if depth == 0 and kind == "RBRACE" and index > self.start:
                return index + 1
        return len(self.tokens) - 1

    def _bounds(self, index: int) -> bool:
        token, follows = self.tokens[index], self._follows(index)
        if token.type in ("RBRACE", END):
            return True
        line_start = first_on_line(self.tokens, index)
        if token.type in STARTERS | WHOLES:
            return line_start or follows == "NAME"
        if token.type != "NAME" or index <= self.index:
            # The token that does not fit may be the next statement's "=", whose name we have passed.
            return token.type == "NAME" and line_start and follows in ("EQUAL", "LBRACE")
        return follows == "EQUAL" or (follows == "LBRACE" and line_start)

    # -------------------------------------------------------------------------------------------- outside algorithms

    def _mend_outside(self) -> None:
        token = self.tokens[self.index]
        if token.type == END:
            self.index += 1
        elif token.type in WHOLES | {"DEF"}:
            self._second(token)
        elif self._misspelt(token) or self._headless(token):
            return
        elif self._statement_like() and not any(t.type in WHOLES for t in self.tokens):
            self._wrap(token)
        else:
            self._stray(token)

    def _report_outside(self, code: str, message: str, token: Token, *notes: str) -> None:
        if code not in self.outside:
            self.outside.add(code)
            self.diagnostics.error(code, message, span_of(token, self.file), *notes)

    def _second(self, token: Token) -> None:
        """An algorithm, suite or definition behind a complete one."""
        first = self.kept[0]
        if token.type in WHOLES and first.type in WHOLES:
            note = f"the first one starts at {first.line}:{first.column}; move this one to its own file"
            what = "algorithm" if token.type == first.type == "ALGORITHM" else "algorithm or suite"
            self._report_outside("FRL0107", f"a file holds one {what}", token, note)
        else:
            note = "definitions for one algorithm stand inside its braces"
            self._report_outside("FRL0108", "a file holds an algorithm, or definitions only", token, note)
        self._restart()

    def _misspelt(self, token: Token) -> bool:
        kind = closest_keyword(token, WHOLES | {"DEF"}) if token.type == "NAME" else None
        if kind is None or self._follows(self.index) not in ("NAME", "STRING"):
            return False
        written = kind.lower()
        note = suggestion(token, written)
        self.diagnostics.error("FRL0126", f'unknown word "{token}"', span_of(token, self.file), note)
        self._change(self.index, 1, [token.replaced(kind, written)])
        return True

    def _headless(self, token: Token) -> bool:
        """``qsm "Q-score matching" {``: the word algorithm is missing."""
        if not self.cursor.takes(["ALGORITHM"]) or token.type != "NAME":
            return False
        if self._follows(self.index) not in ("STRING", "EXTENDS"):
            return False
        note = Proposal(f"write algorithm {token}", token, f"algorithm {token}")
        self._report_outside("FRL0106", f'expected "algorithm", found {describe(token)}', token, note)
        self._change(self.index, 0, [virtual("ALGORITHM", token, "algorithm")])
        return True

    def _statement_like(self) -> bool:
        token = self.tokens[self.index]
        return token.type in STARTERS or (token.type == "NAME" and self._follows(self.index) in ("EQUAL", "LBRACE"))

    def _wrap(self, token: Token) -> None:
        """A file of bare statements is read as if ``algorithm name { ... }`` stood around them."""
        note = "a file is algorithm name { ... }"
        self._report_outside("FRL0106", "this statement stands outside an algorithm", token, note)
        last = self.tokens[-1]
        self._change(len(self.tokens) - 1, 0, [virtual("RBRACE", last, "}")])
        header = [virtual("ALGORITHM", token, "algorithm"), virtual("NAME", token, "_"), virtual("LBRACE", token, "{")]
        self._change(self.index, 0, header)
        self._restart()

    def _stray(self, token: Token) -> None:
        """Anything else: reported once for all that follows, up to the next algorithm or definition outside braces."""
        if self._statement_like():
            message, note = "this statement stands outside an algorithm", "a file is algorithm name { ... }"
            self._report_outside("FRL0106", message, token, note)
        elif self.kept:
            note = 'only comments may follow the closing "}"'
            self._report_outside("FRL0109", f"unexpected {describe(token)} behind the end", token, note)
        else:
            note = "a file is algorithm name { ... }"
            self._report_outside("FRL0106", f'expected "algorithm", found {describe(token)}', token, note)
        depth, kind = 0, token.type
        while kind != END and (depth > 0 or self.index == self.start or kind not in WHOLES | {"DEF"}):
            depth += (kind == "LBRACE") - (kind == "RBRACE")
            self.index += 1
            kind = self.tokens[self.index].type
        self._set_mark()
