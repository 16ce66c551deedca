"""What is wrong where the grammar does not fit: one small rule for each kind of mistake, tried in order.

A rule sees the statement up to the first token that does not fit (:class:`Scene`) and either passes, or names the
mistake and the edit of the tokens that a person would make.  The edit lets the parser go on inside the same statement;
without one the rest of the statement is left unread.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from lark import Token

from flowrl_dsl.diagnostics import Diagnostic
from flowrl_dsl.syntax.brackets import CLOSER, COMPARISONS, NEEDS_VALUE, OPERATORS, STARTERS, first_on_line
from flowrl_dsl.syntax.lexer import language
from flowrl_dsl.syntax.machine import Cursor
from flowrl_dsl.syntax.tokens import END, after, span_of, virtual

_ENDS_VALUE = OPERATORS - {"MINUS"} | {"COMMA", "RPAR", "RSQB", "RBRACE", "EQUAL", "IN", END}
_VALUES = frozenset(["NUMBER", "STRING", "TRUE", "FALSE", "NAME", "INF", "LSQB", "LPAR", "MINUS"])
_CLASSES = {"NAME": "a name", "NUMBER": "a number", "STRING": "a quoted string", END: "the end of the file"}


@dataclass(frozen=True, slots=True)
class Edit:
    """Replace ``drop`` tokens from index ``at`` by ``insert``."""

    at: int
    drop: int
    insert: tuple[Token, ...]


@dataclass(frozen=True, slots=True)
class Finding:
    diagnostic: Diagnostic
    edit: Edit | None = None


@dataclass
class Scene:
    """A statement and the token in it that does not fit."""

    tokens: list[Token]
    start: int  # index of the statement's first token
    index: int  # index of the token that does not fit
    mark: Cursor  # the parser before the statement
    cursor: Cursor  # the parser before the token
    file: str

    @cached_property
    def expected(self) -> frozenset[str]:
        return self.cursor.accepts()

    @property
    def token(self) -> Token:
        return self.tokens[self.index]

    @property
    def head(self) -> Token:
        return self.tokens[self.start]

    @property
    def at_start(self) -> bool:
        return self.index == self.start

    def back(self, count: int) -> Token | None:
        """The ``count``-th token before this one, inside the statement."""
        index = self.index - count
        return self.tokens[index] if index >= self.start else None

    @property
    def previous(self) -> Token:
        """The token before this one, whichever statement it belongs to."""
        return self.tokens[max(self.index - 1, 0)]

    @property
    def following(self) -> Token:
        return self.tokens[min(self.index + 1, len(self.tokens) - 1)]

    @cached_property
    def opener(self) -> Token | None:
        """The innermost bracket of this statement that is open at the token."""
        stack: list[Token] = []
        for token in self.tokens[self.start : self.index]:
            if token.type in CLOSER:
                stack.append(token)
            elif token.type in ("RPAR", "RSQB", "RBRACE") and stack:
                stack.pop()
        return stack[-1] if stack else None

    def kind_back(self, count: int) -> str | None:
        token = self.back(count)
        return token.type if token is not None else None

    @property
    def wants_value(self) -> bool:
        return "TRUE" in self.expected

    @property
    def in_header(self) -> bool:
        """Whether the token stands in ``improve ...``, ``for ...``, ``algorithm ...`` or behind a section's name."""
        return self.head.type in ("IMPROVE", "FOR", "ALGORITHM") or self.index == self.start + 1

    def at_token(self, code: str, message: str, *notes: str, edit: Edit | None = None) -> Finding:
        place = span_of(self.token, self.file) if self.token.type != END else after(self.previous, self.file)
        return Finding(Diagnostic(code, message, place, tuple(n for n in notes if n)), edit)

    def behind(self, index: int, code: str, message: str, *notes: str, edit: Edit | None = None) -> Finding:
        """A finding at the empty place behind token ``index``: something is missing there."""
        place = after(self.tokens[max(index, 0)], self.file)
        return Finding(Diagnostic(code, message, place, tuple(n for n in notes if n)), edit)

    def insert(self, kind: str, at: int | None = None) -> Edit:
        at = self.index if at is None else at
        text = language().written.get(kind) or {"NUMBER": "0", "STRING": '""', "NAME": "_"}[kind]
        return Edit(at, 0, (virtual(kind, self.tokens[at], text),))

    def replace(self, kind: str, at: int | None = None) -> Edit:
        at = self.index if at is None else at
        token = self.tokens[at]
        text = '""' if kind == "STRING" else language().written.get(kind, str(token))
        return Edit(at, 1, (Token.new_borrow_pos(kind, text, token),))

    def would_help(self, kind: str) -> bool:
        """Whether a token of this kind, inserted here, lets the parser read this token and a telling next one."""
        kinds = [kind, self.token.type]
        if self.following.type in ("EQUAL", "LBRACE"):
            kinds.append(self.following.type)
        return self.cursor.takes(kinds)


Rule = Callable[[Scene], Finding | None]


def describe(token: Token) -> str:
    """How a message names a token it found."""
    if token.type == END:
        return "the end of the file"
    text = str(token) if len(token) <= 24 else f"{token[:20]}..."
    if token.type == "STRING":
        return f"the string {text}"
    if token.type in language().keywords.values():
        return f'the reserved word "{text}"'
    return f'"{text}"'


def wanted(expected: frozenset[str]) -> str:
    """How a message names what would have fitted: classes of tokens before single ones."""
    kinds, parts = set(expected), []
    if "TRUE" in kinds:
        parts.append("a value")
        kinds -= _VALUES
    if "PLUS" in kinds:
        kinds -= OPERATORS
        parts.append("an operator")
    if kinds >= STARTERS:
        kinds -= STARTERS | {"NAME"}
        parts.append("a statement")
    written = language().written
    parts += [_CLASSES.get(kind) or f'"{written[kind]}"' for kind in sorted(kinds)]
    return " or ".join(parts) if len(parts) <= 2 else f"{', '.join(parts[:-1])} or {parts[-1]}"


def closest_keyword(word: str, kinds: frozenset[str], cutoff: float = 0.6) -> str | None:
    """The terminal of the reserved word, among ``kinds``, that ``word`` most resembles."""
    keywords = {text: kind for text, kind in language().keywords.items() if kind in kinds}
    close = difflib.get_close_matches(word.lower(), sorted(keywords), n=1, cutoff=cutoff)
    return keywords[close[0]] if close else None


# ---------------------------------------------------------------------------------------------------- ranges, braces


def bad_range(scene: Scene) -> Finding | None:
    kinds = [token.type for token in scene.tokens[scene.start : scene.index]]
    if scene.head.type != "PARAM" or "IN" not in kinds or "RBRACE" in scene.expected:
        return None
    message = f"expected {wanted(scene.expected)} in the range, found {describe(scene.token)}"
    note = 'a range is written (0, 10], with numbers, inf or -inf as bounds: "(" and ")" leave the bound out'
    return scene.at_token("FRL0125", message, note)


def missing_in(scene: Scene) -> Finding | None:
    if scene.head.type != "PARAM" or scene.token.type not in ("LPAR", "LSQB") or "IN" not in scene.expected:
        return None
    note = "write the range as in (0, 10]"
    return scene.behind(scene.index - 1, "FRL0125", 'missing "in" before the range', note, edit=scene.insert("IN"))


def misplaced_range(scene: Scene) -> Finding | None:
    if scene.token.type != "IN" or "PLUS" not in scene.expected:
        return None
    return scene.at_token("FRL0125", "only a param has a range", "write param name = value in (0, 10]")


def section_as_value(scene: Scene) -> Finding | None:
    if scene.token.type != "LBRACE" or scene.kind_back(1) not in NEEDS_VALUE:
        return None
    if scene.kind_back(1) == "EQUAL" and scene.kind_back(2) == "NAME" and scene.opener is None:
        name = scene.tokens[scene.start]
        note = f"write {name} {{ ... }}"
        edit = Edit(scene.index - 1, 1, ())
        return scene.at_token("FRL0119", 'a section takes no "="', note, edit=edit)
    note = "lists stand in [ ], arguments in ( )"
    return scene.at_token("FRL0119", "a braced section is not a value", note)


def missing_body(scene: Scene) -> Finding | None:
    if "LBRACE" not in scene.expected or scene.head.type not in ("IMPROVE", "FOR", "ALGORITHM"):
        return None
    token = scene.token
    ends = token.type in STARTERS | {"RBRACE", END} or first_on_line(scene.tokens, scene.index)
    if not ends:
        return None
    message = f'missing "{{" before the body of "{scene.head}"'
    return scene.behind(scene.index - 1, "FRL0118", message, f'"{scene.head}" has a body in braces, even an empty one')


# ----------------------------------------------------------------------------------------------------- missing values


def missing_value(scene: Scene) -> Finding | None:
    """``x =``, ``f(a, , b)``, ``1 +``: the token ends a value that has not begun."""
    token = scene.token
    starts = token.type in STARTERS and (first_on_line(scene.tokens, scene.index) or scene.following.type == "NAME")
    if not scene.wants_value or not (token.type in _ENDS_VALUE or starts):
        return None
    if scene.following.type == "EQUAL" and token.type in language().keywords.values() and not starts:
        return None  # f(from = 3): a reserved word as a name
    edit = scene.insert("NUMBER") if token.type != "EQUAL" else None
    message = _missing_value_at(scene, scene.index) if not scene.at_start else "missing value"
    return scene.behind(scene.index - 1, "FRL0112", message, f"found {describe(token)}", edit=edit)


def _missing_value_at(scene: Scene, index: int) -> str:
    before, name = scene.tokens[index - 1], scene.tokens[max(index - 2, 0)]
    if before.type == "EQUAL" and name.type == "NAME":
        return f'missing value for "{name}"'
    return f'missing value after "{before}"'


def swallowed_value(scene: Scene) -> Finding | None:
    """``x =`` and a statement on the next line, whose name was read as the value of x."""
    name = scene.index - 1
    if scene.token.type not in ("EQUAL", "LBRACE") or scene.kind_back(1) != "NAME" or scene.opener is not None:
        return None
    if scene.kind_back(2) not in NEEDS_VALUE or not first_on_line(scene.tokens, name):
        return None
    message = _missing_value_at(scene, name)
    note = f'found the next statement, "{scene.tokens[name]}"'
    placeholder = "NAME" if scene.kind_back(2) == "FROM" else "NUMBER"
    return scene.behind(name - 1, "FRL0112", message, note, edit=scene.insert(placeholder, name))


# -------------------------------------------------------------------------------------------------------------- words


def wrong_keyword(scene: Scene) -> Finding | None:
    """``improv score_matching {``: the statement fits once its first word is the reserved word nearest to it."""
    if scene.head.type == "NAME" and scene.index == scene.start + 1 and scene.token.type not in ("EQUAL", "LBRACE"):
        kind = closest_keyword(scene.head, scene.mark.accepts(), 0.5)
        if kind and scene.mark.takes([kind, *(t.type for t in scene.tokens[scene.index : scene.index + 2])]):
            return _unknown_word(scene, scene.start, kind)
    if scene.token.type == "NAME":
        kind = closest_keyword(scene.token, scene.expected, 0.7)
        if kind and scene.cursor.takes([kind, scene.following.type]):
            return _unknown_word(scene, scene.index, kind)
    return None


def _unknown_word(scene: Scene, index: int, kind: str) -> Finding:
    word, right = scene.tokens[index], language().written[kind]
    place = span_of(word, scene.file)
    diagnostic = Diagnostic("FRL0126", f'unknown word "{word}"', place, (f'did you mean "{right}"?',))
    return Finding(diagnostic, scene.replace(kind, index))


def repeated(scene: Scene) -> Finding | None:
    """``improve improve score_matching``: the statement fits without the second word."""
    token, words = scene.token, ("NAME", *language().keywords.values())
    if scene.at_start or scene.opener is not None or token.type not in words or token != scene.previous:
        return None
    if not scene.cursor.takes([scene.following.type]):
        return None
    return scene.at_token("FRL0139", f'"{token}" stands here twice', edit=Edit(scene.index, 1, ()))


def missing_task(scene: Scene) -> Finding | None:
    if scene.expected != {"TASK"} or scene.token.type == "EQUAL":
        return None
    edit = scene.insert("TASK") if scene.token.type == "STRING" else scene.replace("TASK")
    note = 'write for task "Hopper-v5" { ... }'
    return scene.at_token("FRL0126", f'expected "task" after "for", found {describe(scene.token)}', note, edit=edit)


def reserved_word(scene: Scene) -> Finding | None:
    """``let in = 3``, ``param = 1``, ``f(from = 2)``."""
    keywords = language().keywords.values()
    if scene.token.type in keywords and "NAME" in scene.expected:
        between_statements = "RBRACE" in scene.expected and not scene.at_start
        if not between_statements or scene.following.type in ("EQUAL", "LBRACE"):
            return _reserved(scene, scene.index)
    named = scene.token.type in ("EQUAL", "COMMA", "RPAR") or (scene.token.type == "LBRACE" and not scene.in_header)
    if named and scene.kind_back(1) in keywords:
        return _reserved(scene, scene.index - 1)
    return None


def _reserved(scene: Scene, index: int) -> Finding:
    word = scene.tokens[index]
    note = f'choose another name, for example "{word}_"'
    message = f'"{word}" is a reserved word and cannot be a name'
    diagnostic = Diagnostic("FRL0127", message, span_of(word, scene.file), (note,))
    return Finding(diagnostic, scene.replace("NAME", index))


def string_expected(scene: Scene) -> Finding | None:
    if scene.expected == {"STRING"} and scene.token.type not in ("NAME", "NUMBER"):
        message = f'missing quoted string after "{scene.previous}"'
        note = f"found {describe(scene.token)}"
        return scene.behind(scene.index - 1, "FRL0129", message, note, edit=scene.insert("STRING"))
    if "STRING" not in scene.expected or scene.wants_value or scene.token.type not in ("NAME", "NUMBER"):
        return None
    if scene.head.type == "FOR":
        message = f'a task\'s name stands in quotes: "{scene.token}"'
    elif scene.kind_back(1) == "EXTENDS":
        message = f'the file that is extended stands in quotes: "{scene.token}.flowrl"'
    else:
        message = "a title stands in quotes"
    return scene.at_token("FRL0129", message, f"found {describe(scene.token)}", edit=scene.replace("STRING"))


def hyphenated(scene: Scene) -> Finding | None:
    """``algorithm q-sm {``: a name with a hyphen, where no difference can stand."""
    glued = scene.token.type == "MINUS" and scene.kind_back(1) == "NAME"
    if not glued or "PLUS" in scene.expected or scene.previous.end_pos != scene.token.start_pos:
        return None
    return scene.at_token("FRL0128", 'a name has no "-" in it', f"write {scene.previous}_{scene.following}")


def name_expected(scene: Scene) -> Finding | None:
    if "NAME" not in scene.expected or scene.wants_value or not (scene.at_start or "RBRACE" not in scene.expected):
        return None
    if scene.token.type in ("LBRACE", "RBRACE", END, "EQUAL") and not scene.at_start:
        message = f'missing name after "{scene.previous}"'
        edit = scene.insert("NAME") if scene.token.type != "RBRACE" else None
        return scene.behind(scene.index - 1, "FRL0128", message, f"found {describe(scene.token)}", edit=edit)
    edit = scene.replace("NAME") if scene.token.type in ("STRING", "NUMBER") else None
    note = "names are written without quotes: letters, digits and _, a letter first"
    return scene.at_token("FRL0128", f"expected a name, found {describe(scene.token)}", note, edit=edit)


# --------------------------------------------------------------------------------------------------------- expressions


def chained(scene: Scene) -> Finding | None:
    if scene.token.type not in COMPARISONS | {"FROM"} or scene.token.type in scene.expected or scene.wants_value:
        return None
    if "ARROW" not in scene.expected:
        return None
    if scene.token.type == "FROM":
        return scene.at_token("FRL0130", 'a value is drawn from one place: a second "from" does not fit')
    note = "two values are compared at a time; parentheses say which"
    return scene.at_token("FRL0130", "comparisons cannot be chained", note)


def equal_in_expression(scene: Scene) -> Finding | None:
    if scene.token.type != "EQUAL" or "PLUS" not in scene.expected:
        return None
    note = "an argument is named by one word: f(name = value)" if scene.opener else ""
    return scene.at_token("FRL0135", '"=" cannot stand inside an expression', '"==" compares', note)


def definition_shape(scene: Scene) -> Finding | None:
    if scene.head.type != "DEF" or scene.token.type != "EQUAL" or "LPAR" not in scene.expected:
        return None
    name = scene.previous
    note = f"write def {name}(x) = ..., or let {name} = ... for a plain value"
    return scene.behind(scene.index - 1, "FRL0139", f'expected "(" after "def {name}"', note)


def header_arguments(scene: Scene) -> Finding | None:
    if scene.token.type != "LPAR" or "LBRACE" not in scene.expected or not scene.in_header:
        return None
    name = scene.previous
    note = f"write the options into the body: {name} {{ key = value }}"
    if scene.head.type == "IMPROVE":
        note += f"; a weight that is a call stands in parentheses: improve ({name}(...)) * mechanism"
    return scene.at_token("FRL0136", f'"{name}" takes no arguments in parentheses here', note)


def improve_weight(scene: Scene) -> Finding | None:
    if scene.head.type != "IMPROVE" or scene.opener is not None:
        return None
    if scene.token.type == "NAME" and scene.expected >= {"STAR"}:
        message = 'missing "*" between the weight and the mechanism'
        note = f"write improve {scene.previous} * {scene.token}"
        return scene.behind(scene.index - 1, "FRL0137", message, note, edit=scene.insert("STAR"))
    if scene.token.type in OPERATORS | {"STRING", "LSQB", "LPAR", "TRUE", "FALSE", "NUMBER"}:
        note = "a weight is a number, a name, or an expression in parentheses: improve (1 - w) * score_matching"
        return scene.at_token("FRL0137", f"expected {wanted(scene.expected)}, found {describe(scene.token)}", note)
    return None


def not_callable(scene: Scene) -> Finding | None:
    if scene.token.type != "LPAR" or scene.kind_back(1) not in ("NUMBER", "RPAR", "RSQB", "STRING", "TRUE", "FALSE"):
        return None
    note = "a product needs an operator: 2 * (x + y)"
    return scene.at_token("FRL0138", "only a name can be called with arguments", note)


# -------------------------------------------------------------------------------------------------- missing separators


def missing_equal(scene: Scene) -> Finding | None:
    if "EQUAL" not in scene.expected:
        return None
    previous, token = scene.previous, scene.token
    if scene.opener is not None and (token.type in ("NAME", "INF") or not scene.would_help("EQUAL")):
        return None  # two names: a comma is missing
    if scene.opener is None and not scene.would_help("EQUAL"):
        return _lonely_name(scene)
    message = f'missing "=" after "{previous}"'
    note = f"write {previous} = {token}" if token.type in ("NAME", "NUMBER", "STRING", "TRUE", "FALSE") else ""
    return scene.behind(scene.index - 1, "FRL0111", message, note, edit=scene.insert("EQUAL"))


def _lonely_name(scene: Scene) -> Finding | None:
    if scene.index == scene.start + 1 and scene.head.type == "NAME":
        message = f'expected "=" or "{{" after "{scene.head}", found {describe(scene.token)}'
        return scene.behind(scene.start, "FRL0111", message)
    if scene.head.type in ("PARAM", "LET"):
        message = f'missing "=" and a value after "{scene.previous}"'
        return scene.behind(scene.index - 1, "FRL0111", message, f"write {scene.head} {scene.previous} = ...")
    return None


def missing_comma(scene: Scene) -> Finding | None:
    if "COMMA" not in scene.expected or not scene.would_help("COMMA"):
        return None
    if scene.opener is None and scene.head.type != "FOR":
        return None
    note = ""
    if "EQUAL" in scene.expected and scene.following.type != "EQUAL":
        note = f'if "{scene.previous}" names an argument, write {scene.previous} = {scene.token}'
    message = f'missing "," before {describe(scene.token)}'
    return scene.behind(scene.index - 1, "FRL0110", message, note, edit=scene.insert("COMMA"))


def unexpected(scene: Scene) -> Finding:
    note = ""
    if scene.kind_back(1) == "NAME" and scene.token.type in _VALUES and scene.index > scene.start + 1:
        note = f"arguments stand in parentheses: {scene.previous}({scene.token})"
    return scene.at_token("FRL0139", f"expected {wanted(scene.expected)}, found {describe(scene.token)}", note)


RULES: tuple[Rule, ...] = (
    repeated,
    bad_range,
    missing_in,
    misplaced_range,
    section_as_value,
    missing_body,
    missing_value,
    swallowed_value,
    wrong_keyword,
    missing_task,
    string_expected,
    reserved_word,
    equal_in_expression,
    chained,
    hyphenated,
    name_expected,
    definition_shape,
    header_arguments,
    not_callable,
    improve_weight,
    missing_equal,
    missing_comma,
    unexpected,
)


def find(scene: Scene) -> Finding:
    """The first rule's finding that fits; the last rule always does."""
    return next(finding for rule in RULES if (finding := rule(scene)) is not None)
