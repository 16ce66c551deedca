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
        "No file has this name.  Names are relative to the current folder, those after extends to the file they stand in.",
        "flowrl-dsl check nowhere.flowrl",
        "Check the name; the hint lists the specs that are in that folder.",
    ),
    Code(
        "FRL0102",
        "a folder, not a file",
        "A command that reads one spec was given a folder.",
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
        "Specs are text in the encoding UTF-8; this file holds bytes that are not.",
        "printf 'algorithm caf\\351 {}' > mine.flowrl; flowrl-dsl check mine.flowrl",
        "Save the file as UTF-8, for example with iconv -f latin1 -t utf-8.",
    ),
    Code(
        "FRL0105",
        "empty file",
        "The file holds no algorithm and no definition; comments alone say nothing.",
        "# to be written\n",
        "Write algorithm name { ... }, or start from a spec that is shipped.",
    ),
    Code(
        "FRL0106",
        "outside an algorithm",
        "Statements stand inside the braces of an algorithm, so that a file says what its statements belong to.",
        "regime = off_policy\n",
        "Put algorithm name { ... } around the statements.",
    ),
    Code(
        "FRL0107",
        "two algorithms in one file",
        "A file holds one algorithm: it is named by its file, and extended by it.",
        "algorithm one {}\nalgorithm two {}\n",
        "Move the second algorithm into a file of its own.",
    ),
    Code(
        "FRL0108",
        "an algorithm beside definitions",
        "A file is an algorithm, or a library of definitions; definitions for one algorithm stand inside it.",
        "def twice(x) = 2 * x\nalgorithm example {}\n",
        "Move the definitions into the braces of the algorithm.",
    ),
    Code(
        "FRL0109",
        "text behind the end",
        "Behind the closing brace of the algorithm only comments may follow.",
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
        "Something should stand here: behind =, behind an operator, between two commas.",
        _inside("temperature ="),
        "Write the value, or remove the sign that announces it.",
    ),
    Code(
        "FRL0113",
        "missing closing bracket",
        "A parenthesis or a square bracket was opened, and the statement ended without closing it.",
        _inside("network = mlp([256, 256]\nensemble = 2"),
        "Close the bracket; the note says where it was opened.",
    ),
    Code(
        "FRL0114",
        "unmatched closing bracket",
        "This bracket closes nothing: there are more closing than opening ones in the statement.",
        _inside("optimizer = adam(3e-4))"),
        "Remove the bracket, or open it before.",
    ),
    Code(
        "FRL0115",
        "mismatched closing bracket",
        "A parenthesis is closed by ) and a square bracket by ].  Only ranges mix them: (0, 10].",
        _inside("optimizer = adam(3e-4]"),
        "Use the bracket of the kind that was opened.",
    ),
    Code(
        "FRL0116",
        "missing closing brace",
        "A section was opened and not closed.  Indentation tells where the brace probably belongs.",
        "algorithm example {\n  policy {\n    ensemble = 2\n  critic {\n  }\n}\n",
        "Close the section; the note says where it was opened.",
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
        "Braces hold the statements of a section.  A section has no = and is not an argument or list item.",
        _inside("policy = { ensemble = 2 }"),
        "Drop the = before a section; write lists in [ ] and arguments in ( ).",
    ),
    Code(
        "FRL0120",
        "unexpected character",
        "The character is not part of the language.  Names are ASCII; formulas are typed as -, *, ->, <=.",
        _inside("weight = a → b"),
        "Write what the hint says, or remove the character.",
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
        "Strings stand between straight double quotes, not single or typographic ones.",
        _inside("paper = 'arXiv:2312.11752'"),
        'Write "..." instead.',
    ),
    Code(
        "FRL0123",
        "unknown escape",
        r"A backslash in a string starts one of \" \\ \n \t \r.",
        _inside(r'paper = "C:\papers"'),
        r"Double the backslash if one is meant: \\.",
    ),
    Code(
        "FRL0124",
        "bad number",
        "Numbers are 5, 200_000, 0.5 or 3e-4: a digit on both sides of the point, digits behind the e, and nothing "
        "glued to them.",
        _inside("rate = 1.2.3"),
        "Write one of these forms.",
    ),
    Code(
        "FRL0125",
        "bad range",
        "The range of a param has two bounds, numbers or inf, the lower one first: (0, 10] leaves 0 out and includes 10.",
        _inside("param temperature = 0.1 in (10, 0]"),
        "Write in (low, high], with [ or ] where the bound itself is allowed.",
    ),
    Code(
        "FRL0126",
        "unknown word",
        "A statement starts like none that exists, but almost like one that does.",
        _inside("improv score_matching { }"),
        "Correct the spelling as the hint says.",
    ),
    Code(
        "FRL0127",
        "reserved word as a name",
        "The words algorithm def extends false for from improve in inf let param task true are part of the grammar "
        "and name nothing else.",
        _inside("let in = 3"),
        "Choose another name.",
    ),
    Code(
        "FRL0128",
        "name expected",
        "Keys, sections, definitions and what follows from are names: letters, digits and _, a letter first, no quotes.",
        _inside('"regime" = off_policy'),
        "Write a name.",
    ),
    Code(
        "FRL0129",
        "quoted string expected",
        "Titles, task names and the file after extends stand in double quotes.",
        "algorithm example extends dpmd {}\n",
        "Put it in quotes.",
    ),
    Code(
        "FRL0130",
        "chained comparison",
        "a < b < c means different things in different languages, so it means nothing here; the same holds for two "
        "from in a row.",
        _inside("weight = 0 < x < 1"),
        "Compare two values at a time: (0 < x) * (x < 1).",
    ),
    Code(
        "FRL0131",
        "nested too deep",
        "Brackets and operators may nest 100 levels deep, so that no spec can exhaust the compiler's memory.",
        _inside("x = " + "(" * 101 + "1" + ")" * 101),
        "Name a part with let and use the name.",
    ),
    Code(
        "FRL0132",
        "argument given twice",
        "A call gives each named argument once; which of two values should count?",
        _inside("sampler = ddpm(steps = 20, steps = 30)"),
        "Remove one of them.",
    ),
    Code(
        "FRL0133",
        "argument without a name behind a named one",
        "Arguments without a name are told apart by their position, and so come first.",
        _inside("network = mlp(activation = mish, [256, 256])"),
        "Move it before the named arguments, or name it.",
    ),
    Code(
        "FRL0134",
        "argument listed twice",
        "The arguments of a definition have different names.",
        "def distance(x, x) = x - x\n",
        "Rename one of them.",
    ),
    Code(
        "FRL0135",
        '"=" in an expression',
        "A single = gives a key or an argument its value.  Equality is asked with ==.",
        _inside("weight = mean(a + b = c)"),
        "Write == to compare; put a named argument directly behind a comma or an opening parenthesis.",
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
        "Only a name can be followed by arguments.  A product is never written by writing two values side by side.",
        _inside("target = 2 (x + y)"),
        "Insert the operator: 2 * (x + y).",
    ),
    Code(
        "FRL0139",
        "unexpected text",
        "The grammar does not fit here, and no more exact description of the mistake is known.  The message lists "
        "what would have fitted.",
        _inside("network = mlp 256"),
        "Compare with the grammar in the language reference.",
    ),
)
