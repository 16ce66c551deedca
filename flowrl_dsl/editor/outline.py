"""The structure of a text by its tokens alone: blocks, statements, brackets, and where in them each token stands.

The syntax tree has what is certain of a text with mistakes, and while somebody types the statement at the cursor never is.
So editors are answered from the tokens, which every text has.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from flowrl_dsl.diagnostics import Diagnostics
from flowrl_dsl.syntax.brackets import STARTERS, balance
from flowrl_dsl.syntax.builder import DEEPEST
from flowrl_dsl.syntax.lexer import MOST_ERRORS
from flowrl_dsl.syntax.tokens import END, ERROR, Token

ENDS_VALUE = frozenset(["NAME", "NUMBER", "STRING", "TRUE", "FALSE", "INF", "RPAR", "RSQB"])
"""Tokens behind which a value may be complete."""
_BRACKETS = {"LPAR": 1, "LSQB": 1, "LBRACE": 1, "RPAR": -1, "RSQB": -1, "RBRACE": -1}


@dataclass(frozen=True, slots=True)
class Bracket:
    """An open ``(`` or ``[``, and the argument that is being written inside.

    ``function`` is the name in front of it, ``position`` counts the commas so far, ``argument`` is the name of the argument
    and ``given`` has those of the arguments before.
    """

    opening: Token
    function: Token | None
    position: int = 0
    argument: Token | None = None
    given: tuple[str, ...] = ()


@dataclass(eq=False, slots=True)
class Block:
    """What stands between braces, or (without ``header``) the whole text."""

    header: Statement | None = None
    parent: Block | None = None
    opening: Token | None = None
    closing: Token | None = None
    statements: list[Statement] = field(default_factory=list)

    @property
    def kind(self) -> str:
        """The kind of the statement whose body it is; empty for the text."""
        return self.header.kind if self.header is not None else ""


@dataclass(eq=False, slots=True)
class Statement:
    """One statement; ``tokens`` are its own, without those of its body.

    ``kind`` is the terminal of its first word (``PARAM``), ``assign`` or ``section``; ``word`` for a name alone, and
    ``LBRACE`` for braces without a header.
    ``name`` is what it declares or sets, the kind of a section, or the mechanism; ``given`` the name of a section.
    """

    kind: str
    block: Block
    tokens: list[Token] = field(default_factory=list)
    body: Block | None = None
    name: Token | None = None
    given: Token | None = None
    parameters: list[Token] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Spot:
    """A place between two tokens: the block and statement it belongs to, and the brackets open there.

    ``part`` of the statement is ``head``, ``value`` or ``range``; ``before`` is the token in front of the place.
    """

    block: Block
    statement: Statement | None
    part: str
    brackets: tuple[Bracket, ...]
    before: Token | None

    @property
    def ends_value(self) -> bool:
        """Whether a value is complete here, so that a statement may begin."""
        return self.part != "head" and not self.brackets and self.before is not None and self.before.type in ENDS_VALUE


@dataclass(frozen=True, slots=True)
class Entry:
    """A token of the text with the places on its two sides; ``following`` is the kind of the next token."""

    token: Token
    spot: Spot
    after: Spot
    following: str


@dataclass(frozen=True)
class Outline:
    """The structure of a text."""

    root: Block
    entries: list[Entry]

    def blocks(self) -> Iterator[Block]:
        """All blocks in braces, the outer before the inner."""
        waiting = [self.root]
        while waiting:
            block = waiting.pop()
            if block.header is not None:
                yield block
            waiting.extend(inner.body for inner in reversed(block.statements) if inner.body is not None)

    def statements(self) -> Iterator[Statement]:
        """All statements, those of a body behind the one that has it."""
        waiting = list(reversed(self.root.statements))
        while waiting:
            statement = waiting.pop()
            yield statement
            if statement.body is not None:
                waiting.extend(reversed(statement.body.statements))


def outline(tokens: Sequence[Token]) -> Outline:
    """The structure of a lexer's tokens; never raises."""
    paired = balance(list(tokens), "", Diagnostics(limit=MOST_ERRORS)) if _shallow(tokens) else list(tokens)
    return _Reader(paired).run()


def _shallow(tokens: Sequence[Token]) -> bool:
    depth = 0
    for token in tokens:
        depth += _BRACKETS.get(token.type, 0)
        if depth > DEEPEST:
            return False
    return True


class _Reader:
    """One pass over the tokens."""

    def __init__(self, tokens: Sequence[Token]):
        self.tokens = [token for token in tokens if token.type != ERROR]
        self.root = self.block = Block()
        self.statement: Statement | None = None
        self.part = "head"
        self.brackets: list[Bracket] = []
        self.before: Token | None = None
        self.entries: list[Entry] = []

    def run(self) -> Outline:
        for index, token in enumerate(self.tokens):
            if token.type == END:
                break
            if self._begins(index):
                self._begin(token)
            spot = self._spot()
            self._take(token, self._follows(index))
            self.before = token
            if token.end_pos > token.start_pos:
                self.entries.append(Entry(token, spot, self._spot(), self._follows(index)))
        return Outline(self.root, self.entries)

    def _spot(self) -> Spot:
        return Spot(self.block, self.statement, self.part, tuple(self.brackets), self.before)

    def _follows(self, index: int) -> str:
        return self.tokens[index + 1].type if index + 1 < len(self.tokens) else END

    # --- statements

    def _begins(self, index: int) -> bool:
        """Whether the token is the first of a statement."""
        token, statement = self.tokens[index], self.statement
        if self.brackets:
            return False
        if token.type in STARTERS or token.type in ("ALGORITHM", "SUITE"):
            return True
        if token.type != "NAME" or statement is None:
            return token.type == "NAME"
        if self._follows(index) == "EQUAL":
            return not (statement.kind in ("LET", "PARAM") and len(statement.tokens) == 1)
        if statement.kind == "word":
            given = len(statement.tokens) == 1 and token.line == statement.tokens[0].line
            return not (given and self._follows(index) == "LBRACE")
        return self._spot().ends_value

    def _begin(self, token: Token) -> None:
        self.statement = Statement("word" if token.type == "NAME" else token.type, self.block, [token])
        self.block.statements.append(self.statement)
        self.part = "head"

    # --- tokens

    def _take(self, token: Token, following: str) -> None:
        if self.statement is not None and token.type != "RBRACE" and token is not self.statement.tokens[0]:
            self.statement.tokens.append(token)
        match token.type:
            case "LPAR" | "LSQB":
                called = self.before if token.type == "LPAR" and self.before is not None else None
                function = called if called is not None and called.type == "NAME" else None
                self.brackets.append(Bracket(token, function))
            case "RPAR" | "RSQB" if self.brackets:
                self.brackets.pop()
            case "COMMA" if self.brackets:
                self._next_argument()
            case "EQUAL":
                self._equal()
            case "IN" if self.statement is not None and self.statement.kind == "PARAM":
                self.part = "range"
            case "NAME" if self.statement is not None:
                self._name(token, self.statement)
            case "LBRACE":
                self._open(token)
            case "RBRACE":
                self._close(token)

    def _next_argument(self) -> None:
        last = self.brackets[-1]
        given = (*last.given, str(last.argument)) if last.argument is not None else last.given
        self.brackets[-1] = replace(last, position=last.position + 1, argument=None, given=given)

    def _equal(self) -> None:
        if self.brackets:
            name = self.before if self.before is not None and self.before.type == "NAME" else None
            self.brackets[-1] = replace(self.brackets[-1], argument=name)
        elif self.statement is not None:
            self.part = "value"
            if self.statement.kind == "word":
                self.statement.kind = "assign"

    def _name(self, token: Token, statement: Statement) -> None:
        if self.part != "head":
            return
        if statement.kind == "DEF" and self.brackets:
            statement.parameters.append(token)
        elif self.brackets:
            return
        elif statement.kind == "word" and statement.name is not None:
            statement.given = token
        elif statement.name is None or statement.kind == "IMPROVE":
            statement.name = token

    def _open(self, token: Token) -> None:
        if self.statement is None:
            self._begin(token)
        statement = self.statement
        assert statement is not None
        if statement.kind == "word":
            statement.kind = "section"
        body = statement.body = Block(statement, self.block, token)
        self.block, self.statement, self.part = body, None, "head"
        self.brackets.clear()

    def _close(self, token: Token) -> None:
        self.brackets.clear()
        self.block.closing = token
        self.block = self.block.parent if self.block.parent is not None else self.block
        self.statement, self.part = None, "head"
