"""FRL01xx: a file that cannot be read, or text that is not the language."""

from __future__ import annotations

from flowrl_dsl.codes.base import Code


def _inside(statement: str) -> str:
    """A smallest algorithm around a statement."""
    lines = "\n".join(f"  {line}" for line in statement.splitlines())
    return f"algorithm example {{\n{lines}\n}}\n"


CODES = (
    Code(
        "FRL0101",
        "file not found",
        "No file has this name.  Names are relative to the current folder, those after extends to the folder of the spec.",
        "flowrl-dsl check nowhere.flowrl",
        "Check the name; the hint lists the specs in that folder.",
    ),
    Code(
        "FRL0102",
        "a folder, not a file",
        "The command reads one spec, but its argument is a folder.",
        "flowrl-dsl check specs",
        "Name one file of the folder.",
    ),
    Code(
        "FRL0103",
        "file cannot be read",
        "The operating system refuses to read the file: no permission, a broken disk, an impossible name.",
        "chmod 000 mine.flowrl; flowrl-dsl check mine.flowrl",
        "Make the file readable.",
    ),
    Code(
        "FRL0104",
        "file is not UTF-8",
        "Specs are text in UTF-8; this file contains bytes that are not valid UTF-8.",
        "printf 'algorithm caf\\351 {}' > mine.flowrl; flowrl-dsl check mine.flowrl",
        "Save the file as UTF-8, for example with iconv -f latin1 -t utf-8.",
    ),
    Code(
        "FRL0105",
        "empty file",
        "The file contains no algorithm and no definition, only comments or nothing.",
        "# to be written\n",
        "Write algorithm name { ... }, or start from a shipped spec.",
    ),
    Code(
        "FRL0106",
        "outside an algorithm",
        "Statements are only allowed inside the braces of an algorithm.",
        "regime = off_policy\n",
        "Put algorithm name { ... } around the statements.",
    ),
    Code(
        "FRL0107",
        "two algorithms in one file",
        "A file contains one algorithm; other specs extend it by its file name.",
        "algorithm one {}\nalgorithm two {}\n",
        "Move the second algorithm to another file.",
    ),
    Code(
        "FRL0108",
        "an algorithm beside definitions",
        "A file is an algorithm, or a library of definitions; definitions for one algorithm belong inside it.",
        "def twice(x) = 2 * x\nalgorithm example {}\n",
        "Move the definitions into the braces of the algorithm.",
    ),
    Code(
        "FRL0109",
        "text behind the end",
        "Only comments may follow the closing brace of the algorithm.",
        'algorithm example {}\n"the end"\n',
        "Remove the text, or make it a comment with #.",
    ),
    Code(
        "FRL0110",
        "missing comma",
        "Arguments, list items and task names are separated by commas.",
        _inside("network = mlp([256 256])"),
        "Insert the comma.  If the first of two words names an argument, insert = instead.",
    ),
    Code(
        "FRL0111",
        'missing "="',
        "A statement is key = value or name { ... }; a named argument is name = value.",
        _inside("regime off_policy"),
        "Insert = between the name and its value.",
    ),
    Code(
        "FRL0112",
        "missing value",
        "A value is missing: after =, after an operator, or between two commas.",
        _inside("temperature ="),
        "Write the value, or remove the symbol before it.",
    ),
    Code(
        "FRL0113",
        "missing closing bracket",
        "The statement ends with an open parenthesis or square bracket.",
        _inside("network = mlp([256, 256]\nensemble = 2"),
        "Close the bracket; the note shows the opening one.",
    ),
    Code(
        "FRL0114",
        "unmatched closing bracket",
        "The statement has more closing than opening brackets.",
        _inside("optimizer = adam(3e-4))"),
        "Remove the bracket, or open it before.",
    ),
    Code(
        "FRL0115",
        "mismatched closing bracket",
        "A parenthesis is closed by ) and a square bracket by ].  Only ranges mix them: (0, 10].",
        _inside("optimizer = adam(3e-4]"),
        "Use the bracket that matches the opening one.",
    ),
    Code(
        "FRL0116",
        "missing closing brace",
        "A section is not closed.  The likely place of the brace is inferred from the indentation.",
        "algorithm example {\n  policy {\n    ensemble = 2\n  critic {\n  }\n}\n",
        "Close the section; the note shows the opening brace.",
    ),
    Code(
        "FRL0117",
        "unmatched closing brace",
        "There are more closing than opening braces.",
        "algorithm example {\n  policy {\n  }\n  }\n  regime = off_policy\n}\n",
        "Remove the brace, or open the section it should close.",
    ),
    Code(
        "FRL0118",
        "missing opening brace",
        "algorithm, improve and for have a body in braces, and so has every section; the body may be empty.",
        _inside("improve score_matching"),
        "Write the body: improve score_matching { }.",
    ),
    Code(
        "FRL0119",
        "a section is not a value",
        "Braces enclose the statements of a section.  A section has no = and is not an argument or list item.",
        _inside("policy = { ensemble = 2 }"),
        "Remove the = before a section; write lists in [ ] and arguments in ( ).",
    ),
    Code(
        "FRL0120",
        "unexpected character",
        "The character is not part of the language.  Names are ASCII; operators are written -, *, ->, <=.",
        _inside("weight = a → b"),
        "Write the replacement in the hint, or remove the character.",
    ),
    Code(
        "FRL0121",
        "string never closed",
        "A string starts and ends with a double quote on one line.",
        _inside('paper = "arXiv:2312.11752'),
        'Close the string; a quote inside one is written \\".',
    ),
    Code(
        "FRL0122",
        "other quotes",
        "Strings are enclosed in straight double quotes, not single or typographic ones.",
        _inside("paper = 'arXiv:2312.11752'"),
        'Write "..." instead.',
    ),
    Code(
        "FRL0123",
        "unknown escape",
        r"A backslash in a string starts one of \" \\ \n \t \r.",
        _inside(r'paper = "C:\papers"'),
        r"Double the backslash to write one: \\.",
    ),
    Code(
        "FRL0124",
        "bad number",
        "Numbers are 5, 200_000, 0.5 or 3e-4: a digit on both sides of the point, digits after the e, and a separator "
        "before the next word.",
        _inside("rate = 1.2.3"),
        "Write one of these forms.",
    ),
    Code(
        "FRL0125",
        "bad range",
        "The range of a param has two bounds, numbers or inf, the lower one first: (0, 10] excludes 0 and includes 10.",
        _inside("param temperature = 0.1 in (10, 0]"),
        "Write in (low, high], with [ or ] to include a bound.",
    ),
    Code(
        "FRL0126",
        "unknown word",
        "The first word of the statement is unknown, but close to a known one.",
        _inside("improv score_matching { }"),
        "Correct the spelling as in the hint.",
    ),
    Code(
        "FRL0127",
        "reserved word as a name",
        "The words algorithm def extends false for from improve in inf let param task true are part of the grammar "
        "and cannot be used as names.",
        _inside("let in = 3"),
        "Choose another name.",
    ),
    Code(
        "FRL0128",
        "name expected",
        "Keys, sections, definitions and the word after from are names: letters, digits and _, a letter first, no quotes.",
        _inside('"regime" = off_policy'),
        "Write a name.",
    ),
    Code(
        "FRL0129",
        "quoted string expected",
        "Titles, task names and the file after extends are written in double quotes.",
        "algorithm example extends dpmd {}\n",
        "Put it in quotes.",
    ),
    Code(
        "FRL0130",
        "chained comparison",
        "a < b < c has different meanings in different languages and is not allowed; the same holds for two "
        "consecutive from.",
        _inside("weight = 0 < x < 1"),
        "Compare two values at a time: (0 < x) * (x < 1).",
    ),
    Code(
        "FRL0131",
        "nested too deep",
        "Brackets and operators may be nested up to 100 levels, which limits the memory of the compiler.",
        _inside("x = " + "(" * 101 + "1" + ")" * 101),
        "Name a part with let and use the name.",
    ),
    Code(
        "FRL0132",
        "argument given twice",
        "Each named argument may occur once in a call.",
        _inside("sampler = ddpm(steps = 20, steps = 30)"),
        "Remove one of them.",
    ),
    Code(
        "FRL0133",
        "argument without a name behind a named one",
        "Positional arguments must come before named ones.",
        _inside("network = mlp(activation = mish, [256, 256])"),
        "Move it before the named arguments, or name it.",
    ),
    Code(
        "FRL0134",
        "argument listed twice",
        "The arguments of a definition must have different names.",
        "def distance(x, x) = x - x\n",
        "Rename one of them.",
    ),
    Code(
        "FRL0135",
        '"=" in an expression',
        "A single = assigns a value to a key or an argument.  Equality is written ==.",
        _inside("weight = mean(a + b = c)"),
        "Write == to compare; put a named argument directly after a comma or an opening parenthesis.",
    ),
    Code(
        "FRL0136",
        "arguments for a section",
        "Sections and mechanisms take their options as statements in their body.",
        _inside("improve likelihood_ratio(clip = 0.2) { }"),
        "Move the arguments into the braces: improve likelihood_ratio { clip = 0.2 }.",
    ),
    Code(
        "FRL0137",
        "bad weight",
        "The weight before a mechanism is a number, a name or an expression in parentheses, followed by *.",
        _inside("improve 1 + w * score_matching { }"),
        "Write improve (1 + w) * score_matching { ... }.",
    ),
    Code(
        "FRL0138",
        "not a function",
        "Only a name can be followed by arguments.  Two adjacent values do not form a product.",
        _inside("target = 2 (x + y)"),
        "Insert the operator: 2 * (x + y).",
    ),
    Code(
        "FRL0139",
        "unexpected text",
        "The text does not match the grammar here, and there is no more specific error.  The message lists "
        "the alternatives.",
        _inside("network = mlp 256"),
        "Compare with the grammar in the language reference.",
    ),
)
