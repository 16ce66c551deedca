"""Reserved words, names and quoted strings in the wrong place or form."""

from __future__ import annotations

from flowrl_dsl.diagnostics import Diagnostic, Proposal, suggestion
from flowrl_dsl.syntax.lexer import language
from flowrl_dsl.syntax.mistakes.scene import Edit, Finding, Scene, closest_keyword, describe
from flowrl_dsl.syntax.tokens import END, span_of


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
    diagnostic = Diagnostic("FRL0126", f'unknown word "{word}"', place, (suggestion(word, right),))
    return Finding(diagnostic, scene.replace(kind, index))


def repeated(scene: Scene) -> Finding | None:
    """``improve improve score_matching``: the statement fits without the second word."""
    token, words = scene.token, ("NAME", *language().keywords.values())
    if scene.at_start or scene.opener is not None or token.type not in words or token != scene.previous:
        return None
    if not scene.cursor.takes([scene.following.type]):
        return None
    note = Proposal("remove one of them", token, "")
    return scene.at_token("FRL0139", f'"{token}" stands here twice', note, edit=Edit(scene.index, 1, ()))


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
    note = Proposal(f'choose another name, for example "{word}_"', word, f"{word}_")
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
    quoted = f'"{scene.token}"'
    if scene.head.type == "FOR":
        message = f"a task's name stands in quotes: {quoted}"
    elif scene.kind_back(1) == "EXTENDS":
        quoted = f'"{scene.token}.flowrl"'
        message = f"the file that is extended stands in quotes: {quoted}"
    else:
        message = "a title stands in quotes"
    note = Proposal(f"found {describe(scene.token)}", scene.token, quoted)
    return scene.at_token("FRL0129", message, note, edit=scene.replace("STRING"))


def quoted_section_name(scene: Scene) -> Finding | None:
    """``policy "behavior" {``."""
    if scene.head.type != "NAME" or scene.index != scene.start + 1 or "LBRACE" not in scene.expected:
        return None
    if scene.token.type != "STRING" or scene.following.type != "LBRACE":
        return None
    note = f"write {scene.head} name {{ ... }}: letters, digits and _, a letter first"
    message = f"the name of a section is a word without quotes, found {describe(scene.token)}"
    return scene.at_token("FRL0128", message, note, edit=scene.replace("NAME"))


def second_section_name(scene: Scene) -> Finding | None:
    """``policy old behavior {``."""
    kinds = [token.type for token in scene.tokens[scene.start : scene.index + 3]]
    if scene.index != scene.start + 1 or kinds != ["NAME", "NAME", "NAME", "LBRACE"]:
        return None
    if scene.head.line != scene.following.line:
        return None
    note = f"write {scene.head} {scene.following} {{ ... }}"
    edit = Edit(scene.index, 1, ())
    return scene.at_token("FRL0139", f'"{scene.head}" takes one name, found two', note, edit=edit)


def hyphenated(scene: Scene) -> Finding | None:
    """``algorithm q-sm {``: a name with a hyphen, where no difference can stand."""
    glued = scene.token.type == "MINUS" and scene.kind_back(1) == "NAME"
    if not glued or "PLUS" in scene.expected or scene.previous.end_pos != scene.token.start_pos:
        return None
    note = Proposal(f"write {scene.previous}_{scene.following}", "-", "_")
    return scene.at_token("FRL0128", 'a name has no "-" in it', note)


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
