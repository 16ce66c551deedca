"""Pairs the brackets of a token list, before any grammar is asked.

Brackets are where one slip does most harm: a forgotten ``}`` would make the rest of the file part of the wrong
section.  Line starts and indentation say where the writer meant it to be, so this pass reports each bracket that has
no partner once, and returns a list of tokens in which every bracket has one.
"""

from __future__ import annotations

from flowrl_dsl.diagnostics import Diagnostics, Proposal
from flowrl_dsl.syntax.tokens import END, ERROR, Token, after, span_of, virtual

CLOSER = {"LPAR": "RPAR", "LSQB": "RSQB", "LBRACE": "RBRACE"}
WRITTEN = {"LPAR": "(", "RPAR": ")", "LSQB": "[", "RSQB": "]", "LBRACE": "{", "RBRACE": "}"}
STARTERS = frozenset({"PARAM", "LET", "DEF", "IMPROVE", "FOR"})
WHOLES = frozenset({"ALGORITHM", "SUITE"})  # each begins all that a file holds
COMPARISONS = frozenset(["LESS", "LESS_EQUAL", "GREATER", "GREATER_EQUAL", "SAME", "DIFFERENT"])
OPERATORS = COMPARISONS | {"ARROW", "FROM", "PLUS", "MINUS", "STAR", "SLASH", "POWER"}
NEEDS_VALUE = OPERATORS | {"EQUAL", "COMMA", "LPAR", "LSQB", "IN"}  # behind these a value must follow


def first_on_line(tokens: list[Token], index: int) -> bool:
    """Whether nothing but comments, and tokens that are not in the text, stands before the token on its line."""
    while index > 0 and tokens[index - 1].start_pos == tokens[index - 1].end_pos:
        index -= 1
    return index == 0 or tokens[index - 1].end_line < tokens[index].line


def balance(tokens: list[Token], file: str, diagnostics: Diagnostics) -> list[Token]:
    """The tokens with every bracket paired; each one that was not is reported once."""
    tokens = _Round(tokens, file, diagnostics).run()
    balanced: list[Token] = []
    for segment in _segments(tokens):
        balanced += _Braces(segment, file, diagnostics).run()
    return balanced


def _opened(opener: Token) -> str:
    return f'"{opener}" was opened at {opener.line}:{opener.column}'


class _Round:
    """Pairs parentheses and square brackets, which never reach over a section or into the next statement."""

    def __init__(self, tokens: list[Token], file: str, diagnostics: Diagnostics):
        self.tokens, self.file, self.diagnostics = tokens, file, diagnostics
        self.out: list[Token] = []
        self.open: list[int] = []  # indices into out

    def run(self) -> list[Token]:
        for index, token in enumerate(self.tokens):
            if token.type in ("RPAR", "RSQB"):
                self._close(token, index)
                continue
            if self.open and self._ends_everything(index):
                self._close_all(token)
            if token.type in ("LPAR", "LSQB") or (token.type == "LBRACE" and self._in_expression()):
                self.open.append(len(self.out))
            elif token.type == "RBRACE" and self.open:
                self.open.pop()  # its "{" stands in the expression too
            self.out.append(token)
        return self.out

    def _in_expression(self) -> bool:
        """Whether a brace that follows here was meant as part of a value: ``f(a, {``."""
        return bool(self.open) and self.out[-1].type in NEEDS_VALUE

    def _top(self) -> str:
        return self.out[self.open[-1]].type

    def _ends_everything(self, index: int) -> bool:
        """Whether no parenthesis can still be open at this token."""
        token = self.tokens[index]
        if token.type == "RBRACE":
            return self._top() != "LBRACE"
        if token.type == "LBRACE":
            return not self._in_expression()
        if token.type == END:
            return True
        follows = self.tokens[index + 1].type
        starts = token.type in STARTERS | WHOLES and follows not in ("EQUAL", "COMMA", "RPAR", "RSQB")
        return starts and first_on_line(self.tokens, index)

    def _close(self, token: Token, index: int) -> None:
        kinds = [CLOSER[self.out[i].type] for i in self.open]
        if not kinds:
            self._unmatched(token)
        elif kinds[-1] == token.type or self._is_range():
            self.open.pop()
            self.out.append(token)
        elif token.type in kinds:
            self._close_until(token)
        elif self._closed_later(index, kinds[-1]):
            self._unmatched(token)
        else:
            self._mismatched(token)

    def _closed_later(self, index: int, kind: str) -> bool:
        """Whether the rest of the line closes the innermost bracket anyway, so that this closer is one too many."""
        depth = 0
        for n in range(index + 1, len(self.tokens)):
            token = self.tokens[n]
            if first_on_line(self.tokens, n) or token.type in ("LBRACE", "RBRACE"):
                return False
            if token.type in ("RPAR", "RSQB") and depth == 0:
                return token.type == kind
            depth += (token.type in ("LPAR", "LSQB")) - (token.type in ("RPAR", "RSQB"))
        return False

    def _is_range(self) -> bool:
        """Ranges such as ``(0, 10]`` are half open on purpose; a number is what stands before one without ``in``."""
        start = self.open[-1]
        return start > 0 and self.out[start - 1].type in ("IN", "NUMBER") and self._top() != "LBRACE"

    def _unmatched(self, token: Token) -> None:
        self._report("FRL0114", f'"{token}" closes nothing', token, Proposal("remove it, or open it before", token, ""))
        self.out.append(virtual(ERROR, token))

    def _mismatched(self, token: Token) -> None:
        opener = self.out[self.open.pop()]
        right = CLOSER[opener.type]
        message = f'"{token}" cannot close "{opener}"; expected "{WRITTEN[right]}"'
        note = Proposal(_opened(opener), token, WRITTEN[right])
        self._report("FRL0115", message, token, note)
        self.out.append(token.replaced(right, WRITTEN[right]))

    def _report(self, code: str, message: str, token: Token, note: str) -> None:
        """Complain, unless the line has been complained about: one slip upsets several brackets at once."""
        if not self.diagnostics.on_line(token.line):
            self.diagnostics.error(code, message, span_of(token, self.file), note)

    def _close_until(self, token: Token) -> None:
        """Close what was left open inside the pair that this token closes."""
        first = next(n for n in range(len(self.open) - 1, -1, -1) if CLOSER[self.out[self.open[n]].type] == token.type)
        self._insert_closers(self.open[first + 1 :], len(self.out), token)
        del self.open[first:]
        self.out.append(token)

    def _close_all(self, before: Token) -> None:
        self._insert_closers(self.open, self._where_statement_ended(), before)
        self.open.clear()

    def _where_statement_ended(self) -> int:
        """The first place inside the open bracket that looks like a statement, else the end of what we have."""
        for index in range(self.open[-1] + 1, len(self.out) - 1):
            follows = self.out[index + 1].type
            starts = follows == "EQUAL" or (follows == "LBRACE" and first_on_line(self.out, index))
            if starts and self.out[index].type == "NAME" and self.out[index - 1].type not in NEEDS_VALUE:
                return index
        last = self.out[-1]
        is_header = last.type == "NAME" and first_on_line(self.out, len(self.out) - 1)
        return len(self.out) - 1 if is_header and self.out[-2].type not in NEEDS_VALUE else len(self.out)

    def _insert_closers(self, opened: list[int], at: int, before: Token) -> None:
        near = self.out[at] if at < len(self.out) else before
        openers = [self.out[i] for i in reversed(opened)]
        closers = [virtual(CLOSER[o.type], near, WRITTEN[CLOSER[o.type]]) for o in openers]
        # A character that was reported in between may well have been the bracket we miss.
        if not any(t.type == ERROR for t in self.out[opened[0] : at]):
            missing = "".join(closers)
            notes = [Proposal(_opened(openers[0]), "", missing), *map(_opened, openers[1:])]
            place = after(self.out[at - 1], self.file)
            self.diagnostics.error("FRL0113", f'missing "{missing}"', place, *notes)
        self.out[at:at] = [virtual(ERROR, near), *closers]


def _segments(tokens: list[Token]) -> list[list[Token]]:
    """The tokens cut before each ``algorithm`` or ``suite`` that starts a line: no brace reaches over one."""
    cuts = [
        i
        for i, token in enumerate(tokens)
        if i > 0 and token.type in WHOLES and first_on_line(tokens, i) and tokens[i + 1].type == "NAME"
    ]
    return [tokens[a:b] for a, b in zip([0, *cuts], [*cuts, len(tokens)], strict=True)]


class _Braces:
    """Pairs the braces of one algorithm, using indentation to find the place where one was forgotten."""

    def __init__(self, tokens: list[Token], file: str, diagnostics: Diagnostics):
        self.tokens, self.file, self.diagnostics = tokens, file, diagnostics
        self.indent: dict[int, int] = {}  # line -> column of its first token
        for token in tokens:
            self.indent.setdefault(token.line, token.column)

    def run(self) -> list[Token]:
        excess = self._excess()
        if excess > 0:
            self._drop_doubled(excess)
        elif excess < 0:
            self._drop_closers(-excess - self._open_headers(-excess))
        # Equal numbers may still be in the wrong order: `} {`.
        return self._close_open()

    def _excess(self) -> int:
        kinds = [token.type for token in self.tokens]
        return kinds.count("LBRACE") - kinds.count("RBRACE")

    def _drop_doubled(self, most: int) -> None:
        """Remove the second of two ``{`` in a row, at most so often."""
        kept = self.tokens[:1]
        for token in self.tokens[1:]:
            if most > 0 and token.type == kept[-1].type == "LBRACE":
                place = span_of(token, self.file)
                self.diagnostics.error("FRL0128", 'expected a name before "{"', place, "write name { ... }")
                most -= 1
            else:
                kept.append(token)
        self.tokens = kept

    def _open_headers(self, most: int) -> int:
        """Insert the ``{`` behind the first header lines that lack one, at most so many; how many."""
        index = opened = 0
        while opened < most and index < len(self.tokens) - 2:
            end = self._header_end(index)
            if end is not None:
                self._report_missing_opener(index, end)
                self.tokens.insert(end, virtual("LBRACE", self.tokens[end], "{"))
                opened += 1
            index += 1
        return opened

    def _header_end(self, index: int) -> int | None:
        """The index behind a header that starts at ``index`` and has no brace, or None."""
        head = self.tokens[index]
        if not first_on_line(self.tokens, index) or head.type not in WHOLES | {"NAME", "IMPROVE", "FOR"}:
            return None
        end = index + 1
        while end < len(self.tokens) - 1 and not first_on_line(self.tokens, end) and not self._assigns(end):
            end += 1
        header = [t.type for t in self.tokens[index:end] if t.type != ERROR]
        if {"LBRACE", "RBRACE", "EQUAL"}.intersection(header) or self.tokens[end].type == "LBRACE":
            return None
        if head.type != "NAME":
            return end
        continues = index > 0 and self.tokens[index - 1].type in NEEDS_VALUE
        is_header = header in (["NAME"], ["NAME", "NAME"]) and not continues and self.tokens[end].column > head.column
        return end if is_header else None

    def _assigns(self, index: int) -> bool:
        return self.tokens[index].type == "NAME" and self._follows(index) == "EQUAL"

    def _follows(self, index: int) -> str:
        return self.tokens[index + 1].type if index + 1 < len(self.tokens) else END

    def _report_missing_opener(self, index: int, end: int) -> None:
        if self.tokens[end - 1].type != ERROR:
            message = f'missing "{{" before the body of "{self.tokens[index]}"'
            note = Proposal('insert "{" here', "", " {")
            self.diagnostics.error("FRL0118", message, after(self.tokens[end - 1], self.file), note)

    def _drop_closers(self, most: int) -> None:
        """Remove each ``}`` that closes nothing, is indented too far, or ends the algorithm early, at most so many.

        One that ends the algorithm early is removed where a later one closes nothing, and the search goes on behind it.
        """
        stack: list[Token] = []
        early: list[tuple[int, Token]] = []  # candidates with what they close, the best one last
        index, last = 0, self._last_statement()
        while most > 0 and not self.diagnostics.full:
            token = self.tokens[index]
            if token.type == "LBRACE":
                stack.append(token)
            if token.type == "RBRACE":
                opener = stack.pop() if stack else None
                if opener is None or self._indented_too_far(index, opener):
                    if early and not stack:
                        index, opener = early.pop()
                    stack += [opener] if opener else []
                    self._report_closer(self.tokens.pop(index))
                    most, last = most - 1, last - (index < last)
                    continue
                ends = not stack and index < last
                if ends and (not early or token.column != self.indent[opener.line]):
                    early.append((index, opener))
            index += 1

    def _last_statement(self) -> int:
        """The index of the last token that is neither a ``}`` nor the end of the file."""
        others = (index for index, token in enumerate(self.tokens) if token.type not in ("RBRACE", END))
        return max(others, default=-1)

    def _indented_too_far(self, index: int, opener: Token) -> bool:
        token = self.tokens[index]
        own_line = first_on_line(self.tokens, index) and opener.line != token.line
        return own_line and token.column > self.indent[opener.line]

    def _report_closer(self, token: Token) -> None:
        note = Proposal("every section that was opened is closed already", token, "")
        self.diagnostics.error("FRL0117", 'this "}" closes nothing', span_of(token, self.file), note)

    def _close_open(self) -> list[Token]:
        """Walk the tokens, closing each brace before the line that is no longer indented below its opener."""
        excess = self._excess()
        out: list[Token] = []
        stack: list[Token] = []
        for index, token in enumerate(self.tokens):
            while excess > 0 and stack and self._left_behind(index, stack[-1]):
                self._insert_closer([stack.pop()], out, token)
                excess -= 1
            last = index == len(self.tokens) - 1
            if stack and last and token.type == END:
                self._insert_closer(stack[::-1], out, token)
                stack.clear()
            if token.type == "LBRACE":
                stack.append(token)
            elif token.type == "RBRACE":
                if not stack:
                    self._report_closer(token)
                    continue
                stack.pop()
            out.append(token)
        if stack:  # the segment ends before the next algorithm
            self._insert_closer(stack[::-1], out, None)
        return out

    def _left_behind(self, index: int, opener: Token) -> bool:
        token, indent = self.tokens[index], self.indent[opener.line]
        if token.line == opener.line or not first_on_line(self.tokens, index):
            return False
        if token.type == "RBRACE":
            return token.column < indent
        named = token.type == "NAME" and self._follows(index) in ("EQUAL", "LBRACE")
        starts = named or token.type in STARTERS
        return starts and token.column <= indent

    def _insert_closer(self, openers: list[Token], out: list[Token], before: Token | None) -> None:
        last = out[-1]
        if last.type != ERROR:
            closers = "".join(f"\n{' ' * (self.indent[o.line] - 1)}}}" for o in openers)
            notes = [Proposal(_opened(openers[0]), "", closers), *map(_opened, openers[1:])]
            message = f'missing "{"}" * len(openers)}"'
            self.diagnostics.error("FRL0116", message, after(last, self.file), *notes)
        near = before if before is not None else last
        out += [virtual("RBRACE", near, "}") for _ in openers]
