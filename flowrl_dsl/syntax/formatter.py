"""Tree to text in the one canonical style.

Guarantees: the text parses back to an equal tree; formatting it again changes nothing; every comment is kept.  Spans
of the tree are asked only for what a person chose and the tree does not say: blank lines, whether a short section
stood on one line, and where comments stand.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from flowrl_dsl.diagnostics import Span
from flowrl_dsl.syntax import tree
from flowrl_dsl.syntax.flat import (
    ARROW,
    COMPARISON,
    FROM,
    PRODUCT,
    SUM,
    UNARY,
    flat,
    label,
    operand_places,
    quoted,
    range_text,
    tightness,
)

WIDTH = 100
_STEP = "  "
_FAR = (1 << 60, 0)  # a place behind every text


def format_file(file: tree.File) -> str:
    """The canonical text of a file, ending with a newline."""
    return _Formatter(file.comments).file(file)


def format_expression(expression: tree.Expr) -> str:
    """The canonical text of an expression on one line."""
    return flat(expression)


# ----------------------------------------------------------------------------------------------------- comments


class _Comments:
    """The comments of a file in their order, handed out as the formatter passes their places."""

    def __init__(self, comments: Iterable[tree.Comment]):
        self.waiting = sorted(comments, key=lambda c: (c.span.line, c.span.column))

    def before(self, line: int, column: int) -> list[tree.Comment]:
        """Take the comments that start before a place."""
        count = 0
        while count < len(self.waiting) and _starts(self.waiting[count].span) < (line, column):
            count += 1
        taken, self.waiting = self.waiting[:count], self.waiting[count:]
        return taken

    def beside(self, line: int, until: tuple[int, int] = _FAR) -> list[tree.Comment]:
        """Take the next comment if it stands on this line, behind code, and before a place."""
        if self.waiting and self.waiting[0].trailing and self.waiting[0].span.line == line:
            return [self.waiting.pop(0)] if _starts(self.waiting[0].span) < until else []
        return []

    def inside(self, span: Span) -> bool:
        """Whether a comment that is still to come stands inside the span."""
        return any(_starts(span) <= _starts(c.span) < (span.end_line, span.end_column) for c in self.waiting)

    def rest(self) -> list[tree.Comment]:
        return self.before(*_FAR)


def _starts(span: Span) -> tuple[int, int]:
    return span.line, span.column


# --------------------------------------------------------------------------------------------------- statements


@dataclass
class _Statement:
    """A statement as laid out: ``key`` is what stands left of its ``=`` when it may be aligned with its neighbours."""

    lines: list[str]
    key: str | None = None
    value: str = ""
    comment: str = ""
    leading: list[str] = field(default_factory=list)
    gap: bool = False  # a blank line before it

    def text(self, indent: str, width: int) -> list[str]:
        tail = f"  {self.comment}" if self.comment else ""
        if self.key is not None:
            return [f"{indent}{self.key.ljust(width)} = {self.value}{tail}"]
        return [*self.lines[:-1], self.lines[-1] + tail]


class _Formatter:
    def __init__(self, comments: Iterable[tree.Comment]):
        self.comments = _Comments(comments)

    def file(self, file: tree.File) -> str:
        parts = [file.whole] if file.whole is not None else list(file.definitions)
        lines, last = self._statements(parts, "", _FAR)
        lines += self._closing_comments(self.comments.rest(), "", last)
        return "\n".join(line.rstrip() for line in lines) + "\n"

    def _statements(self, statements: Iterable, indent: str, end: tuple[int, int]) -> tuple[list[str], int]:
        """The lines of statements one below the other, and the source line where the last one ended (0: none).

        ``end`` is the place where the body that they stand in ends.
        """
        blocks: list[_Statement] = []
        last, statements = 0, list(statements)
        ends = [*(_starts(s.span) for s in statements), end][1:]
        for statement, until in zip(statements, ends, strict=True):
            blocks.append(self._block(statement, indent, last, until))
            last = statement.span.end_line
        return _aligned(blocks, indent), last

    def _block(self, statement, indent: str, last: int, until: tuple[int, int]) -> _Statement:
        """One statement with the comments before it, and the one beside it if that stands before ``until``."""
        leading = self.comments.before(*_starts(statement.span))
        first = leading[0].span.line if leading else statement.span.line
        gap = 0 < last < first - 1
        above = self._comment_lines(leading, indent, statement.span.line)
        block = self._layout(statement, indent)
        # What stands inside the statement where no line of the new layout can take it goes above.
        inner = self.comments.before(statement.span.end_line, statement.span.end_column)
        above += [indent + comment.text for comment in inner]
        block.comment = "".join(c.text for c in self.comments.beside(statement.span.end_line, until))
        block.leading, block.gap = above, gap
        return block

    def _comment_lines(self, comments: list[tree.Comment], indent: str, until: int) -> list[str]:
        """Comments above a statement, with the blank lines among them and before line ``until``."""
        lines: list[str] = []
        below = [*(c.span.line for c in comments), until][1:]
        for comment, following in zip(comments, below, strict=True):
            lines.append(indent + comment.text)
            if following > comment.span.line + 1:
                lines.append("")
        return lines

    def _closing_comments(self, comments: list[tree.Comment], indent: str, last: int) -> list[str]:
        """Comments behind the last statement of a body or file."""
        lines: list[str] = []
        for comment in comments:
            if 0 < last < comment.span.line - 1:
                lines.append("")
            lines.append(indent + comment.text)
            last = comment.span.line
        return lines

    def _layout(self, statement, indent: str) -> _Statement:
        match statement:
            case tree.Assign(key=key, value=value):
                return self._keyed(key.id, value, "", indent)
            case tree.Let(name=name, value=value):
                return self._keyed(f"let {name.id}", value, "", indent)
            case tree.Param(name=name, value=value, range=bounds):
                tail = f" in {range_text(bounds)}" if bounds is not None else ""
                return self._keyed(f"param {name.id}", value, tail, indent)
            case tree.Define(name=name, parameters=parameters, value=value):
                head = f"{indent}def {name.id}({', '.join(p.id for p in parameters)}) = "
                return _Statement(self._value(head, value, "", indent))
            case tree.Algorithm() | tree.Suite():
                return _Statement(self._body(_whole_head(statement), _head_end(statement), statement, indent))
            case _:
                return _Statement(self._body(_section_head(statement), _head_end(statement), statement, indent))

    def _keyed(self, key: str, value: tree.Expr, tail: str, indent: str) -> _Statement:
        lines = self._value(f"{indent}{key} = ", value, tail, indent)
        if len(lines) > 1:
            return _Statement(lines)
        return _Statement(lines, key, flat(value) + tail)

    def _body(self, head: str, head_end: int, statement, indent: str) -> list[str]:
        one_line = self._one_line(head, statement, indent)
        if one_line is not None:
            return [one_line]
        end = (statement.span.end_line, statement.span.end_column)
        first = _starts(statement.body[0].span) if statement.body else end
        beside = "".join(f"  {c.text}" for c in self.comments.beside(head_end, first))
        lines, last = self._statements(statement.body, indent + _STEP, end)
        closing = self.comments.before(*end)
        lines += self._closing_comments(closing, indent + _STEP, last)
        return [f"{indent}{head} {{{beside}", *lines, f"{indent}}}"]

    def _one_line(self, head: str, statement, indent: str) -> str | None:
        """The section on one line, if it stood on one and is short."""
        body = statement.body
        stood = statement.span.line == statement.span.end_line and not self.comments.inside(statement.span)
        if not body and not self.comments.inside(statement.span):
            return f"{indent}{head} {{}}"
        if not stood or not all(isinstance(s, tree.Assign) for s in body) or isinstance(statement, tree.Whole):
            return None
        line = f"{indent}{head} {{ {'  '.join(f'{s.key.id} = {flat(s.value)}' for s in body)} }}"
        return line if len(line) <= WIDTH else None

    # --------------------------------------------------------------------------- expressions over several lines

    def _value(self, head: str, value: tree.Expr, tail: str, indent: str) -> list[str]:
        """``head`` and an expression: on one line where that fits, else broken inside brackets or at operators."""
        lines = self._break(value, ARROW, indent, len(head), len(tail))
        lines[0] = head + lines[0]
        lines[-1] += tail
        return lines

    def _break(self, node: tree.Expr, place: int, indent: str, used: int, after: int) -> list[str]:
        """The lines of an expression whose first one starts behind ``used`` columns, the last before ``after``."""
        whole = flat(node, place)
        if used + len(whole) + after <= WIDTH and not self._has_comments(node):
            return [whole]
        if tightness(node) < place:
            lines = self._break(node, ARROW, indent, used + 1, after + 1)
            return [f"({lines[0]}", *lines[1:-1], f"{lines[-1]})"] if len(lines) > 1 else [f"({lines[0]})"]
        match node:
            case tree.Call(function=function, arguments=arguments) if arguments:
                items = [(label(argument), argument.value, argument.span) for argument in arguments]
                return [f"{function.id}(", *self._items(items, node.span, indent + _STEP), f"{indent})"]
            case tree.List(items=items) if items:
                items = [("", item, item.span) for item in items]
                return ["[", *self._items(items, node.span, indent + _STEP), f"{indent}]"]
            case tree.Unary(operand=operand):
                lines = self._break(operand, UNARY, indent, used + 1, after)
                return [f"-{lines[0]}", *lines[1:]]
            case tree.From(value=value, source=source):
                tail = f" from {source.id}"
                lines = self._break(value, COMPARISON, indent, used, after + len(tail))
                return [*lines[:-1], lines[-1] + tail]
            case tree.Binary() | tree.Arrow():
                return self._terms(node, indent, used, after)
        return [whole]

    def _has_comments(self, node: tree.Expr) -> bool:
        """Whether a comment stands inside brackets of an expression, where an item a line gives it room."""
        match node:
            case tree.Call(arguments=items) | tree.List(items=items):
                return bool(items) and self.comments.inside(node.span)
            case tree.Unary(operand=inner) | tree.From(value=inner):
                return self._has_comments(inner)
            case tree.Binary(left=left, right=right):
                return self._has_comments(left) or self._has_comments(right)
            case tree.Arrow(items=items):
                return any(map(self._has_comments, items))
        return False

    def _items(self, items: list[tuple[str, tree.Expr, Span]], around: Span, indent: str) -> list[str]:
        """The items between the brackets of ``around``: one a line, each with its comments."""
        lines: list[str] = []
        end = (around.end_line, around.end_column)
        ends = [*(_starts(span) for _, _, span in items), end][1:]
        for (name, value, span), until in zip(items, ends, strict=True):
            lines += [indent + c.text for c in self.comments.before(*_starts(span))]
            broken = self._break(value, ARROW, indent, len(indent + name), 1)
            broken[0] = indent + name + broken[0]
            beside = "".join(f"  {c.text}" for c in self.comments.beside(span.end_line, until))
            lines += [*broken[:-1], f"{broken[-1]},{beside}"]
        return lines + [indent + c.text for c in self.comments.before(*end)]

    def _terms(self, node: tree.Binary | tree.Arrow, indent: str, used: int, after: int) -> list[str]:
        """A chain of operators of one kind: the first term, and each further one behind its operator on a line."""
        first, *others = _chain(node)
        inner = indent + _STEP
        lines = self._break(first[1], first[2], inner, used, 0)
        for operator, term, place in others:
            head = f"{inner}{operator} "
            broken = self._break(term, place, inner, len(head), after)
            lines += [head + broken[0], *broken[1:]]
        return lines


def _chain(node: tree.Binary | tree.Arrow) -> list[tuple[str, tree.Expr, int]]:
    """``a + b - c`` as its terms, each with the operator before it and the tightness its place asks for."""
    if isinstance(node, tree.Arrow):
        return [("->", item, FROM) for item in node.items]
    a, b = operand_places(node.operator)
    own, left = tightness(node), node.left
    if own in (SUM, PRODUCT) and isinstance(left, tree.Binary) and tightness(left) == own:
        return [*_chain(left), (node.operator, node.right, b)]
    return [("", left, a), (node.operator, node.right, b)]


def _aligned(blocks: list[_Statement], indent: str) -> list[str]:
    """The lines of statements, with ``=`` in one column over each run of one-line assignments."""
    lines: list[str] = []
    for n, block in enumerate(blocks):
        if block.gap:
            lines.append("")
        lines += block.leading
        lines += block.text(indent, _run_width(blocks, n, indent))
    return lines


def _run_width(blocks: list[_Statement], index: int, indent: str) -> int:
    """The width of the widest key in the run around a block; 0 where aligning would make a line too long."""
    first = last = index
    while first > 0 and _same_run(blocks[first - 1], blocks[first]):
        first -= 1
    while last + 1 < len(blocks) and _same_run(blocks[last], blocks[last + 1]):
        last += 1
    run = [(block.key, block.value) for block in blocks[first : last + 1] if block.key is not None]
    width = max((len(key) for key, _ in run), default=0)
    fits = all(len(indent) + width + len(" = ") + len(value) <= WIDTH for _, value in run)
    return width if fits else 0


def _same_run(above: _Statement, below: _Statement) -> bool:
    apart = below.gap or "" in below.leading
    return above.key is not None and below.key is not None and not apart


# ------------------------------------------------------------------------------------------------------ headers


def _whole_head(node: tree.Whole) -> str:
    word = "algorithm" if isinstance(node, tree.Algorithm) else "suite"
    title = f" {quoted(node.title.value)}" if node.title is not None else ""
    base = f" extends {quoted(node.base.value)}" if node.base is not None else ""
    return f"{word} {node.name.id}{title}{base}"


def _section_head(node: tree.Section | tree.Improve | tree.ForTask) -> str:
    match node:
        case tree.Section(name=name, given=given):
            return name.id if given is None else f"{name.id} {given.id}"
        case tree.Improve(weight=weight, mechanism=mechanism):
            if weight is None:
                return f"improve {mechanism.id}"
            bare = isinstance(weight, tree.Number | tree.Name | tree.Call)
            return f"improve {flat(weight) if bare else f'({flat(weight)})'} * {mechanism.id}"
        case tree.ForTask(tasks=tasks):
            return f"for task {', '.join(quoted(task.value) for task in tasks)}"
    raise TypeError(f"not a section: {node!r}")


def _head_end(node) -> int:
    """The source line on which a header ends."""
    match node:
        case tree.Algorithm(name=name, title=title, base=base) | tree.Suite(name=name, title=title, base=base):
            return (base or title or name).span.end_line
        case tree.Section(name=name, given=given):
            return (given or name).span.end_line
        case tree.Improve(mechanism=name):
            return name.span.end_line
        case tree.ForTask(tasks=tasks):
            return tasks[-1].span.end_line
    raise TypeError(f"not a section: {node!r}")
