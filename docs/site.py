"""Build the documentation site, ``python docs/site.py``, and read it: ``python -m http.server -d build/site``.

Opened as files, the pages are complete, but browsers refuse them the index of the search.

The pages are those of this folder.  Beside them stand the README, as the first page, and every spec and file of the grammar,
so that links to them lead somewhere.  Zensical (the extra ``docs``) builds the site; a link or an anchor that leads nowhere
is an error, and the script exits with 1.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

DOCS = Path(__file__).resolve().parent
ROOT = DOCS.parent
NAVIGATION = {
    "Home": "index.md",
    "Learn": ["tutorial.md", "language.md", "python.md", "editors.md"],
    "How to": ["howto", "export.md"],
    "Reference": ["commands.md", "reference"],
    "Runs": ["populations.md", "data.md", "hybrids.md", "performance.md"],
    "Results": ["guide.md", "results.md", "comparisons.md", "results_offline.md", "results_on_policy.md"],
    "Known answers": ["known_answers.md", "known_answers_offline.md", "known_answers_on_policy.md"],
    "Inside": ["architecture.md", "worlds.md", "testing.md", "CONTRIBUTING.md", "CHANGELOG.md"],
    "Specs": ["specs", "grammar"],
}
"""Pages by heading: a page, several, or all of a folder in alphabetical order.  What is not named here comes last."""
_LINK = re.compile(r"(\]\()([^)#:\s]+)((?:#[^)\s]*)?(?: \"[^\"]*\")?\))")
_FENCE = re.compile(r"^```\n(?=(?:#[^\n]*\n)*algorithm )", re.MULTILINE)
_SETTINGS = """[project]
site_name = "flowrl-dsl"
site_description = "A language and compiler for reinforcement learning with diffusion and flow policies"
docs_dir = "pages"
site_dir = "site"
use_directory_urls = false
nav = {nav}

[project.theme]
font = false
features = [
  "navigation.sections", "navigation.top", "navigation.footer", "search.highlight", "content.code.copy", "toc.follow",
]

[[project.theme.palette]]
media = "(prefers-color-scheme: light)"
scheme = "default"

[[project.theme.palette]]
media = "(prefers-color-scheme: dark)"
scheme = "slate"

[project.markdown_extensions.toc]
permalink = true
[project.markdown_extensions.tables]
[project.markdown_extensions.attr_list]
[project.markdown_extensions.md_in_html]
[project.markdown_extensions.pymdownx.highlight]
anchor_linenums = false
[project.markdown_extensions.pymdownx.inlinehilite]
[project.markdown_extensions.pymdownx.superfences]
"""


def sources() -> dict[Path, Path]:
    """The page of the site that each file of the repository becomes; pictures keep their names."""
    found = {ROOT / "README.md": Path("index.md")}
    for path in sorted(DOCS.rglob("*")):
        if path.suffix in (".md", ".png", ".svg"):
            found[path] = path.relative_to(DOCS)
    for folder in ("specs", "grammar"):
        for path in sorted((ROOT / folder).glob("*")):
            if path.suffix in (".flowrl", ".lark"):
                # one name for the library and the language: flowrl.lark and stdlib.flowrl
                found[path] = Path(folder) / f"{path.stem}.md"
    return found


def text_of(path: Path, pages: dict[Path, Path]) -> str:
    """The Markdown of a page, with its links to other files as links to their pages."""
    text = path.read_text(encoding="utf-8")
    if path.suffix != ".md":
        title = path.stem if path.suffix == ".flowrl" else path.name
        language = "flowrl" if path.suffix == ".flowrl" else "text"
        return f"# {title}\n\n```{language}\n{text}```\n"

    def moved(link: re.Match[str]) -> str:
        target = Path(os.path.normpath(path.parent / link[2]))
        if target not in pages:
            return link[0]
        return f"{link[1]}{os.path.relpath(pages[target], pages[path].parent)}{link[3]}"

    return _FENCE.sub("```flowrl\n", _LINK.sub(moved, text))


def navigation(pages: Iterable[Path]) -> str:
    """The menu as a value of TOML, with every page once."""
    left = [page for page in pages if page.suffix == ".md"]
    menu: list[dict[str, object]] = []
    for heading, entry in NAVIGATION.items():
        named = [Path(name) for name in ([entry] if isinstance(entry, str) else entry)]
        chosen = [page for name in named for page in left if page == name or name in page.parents]
        left = [page for page in left if page not in chosen]
        menu.append({heading: str(chosen[0]) if chosen == [Path("index.md")] else [str(page) for page in chosen]})
    if left:
        menu.append({"More": [str(page) for page in left]})
    entries = ", ".join(
        f"{{ {json.dumps(heading)} = {json.dumps(value)} }}" for one in menu for heading, value in one.items()
    )
    return f"[{entries}]"


def stage(folder: Path) -> None:
    """Write the pages of the site and its settings to ``folder``."""
    shutil.rmtree(folder / "pages", ignore_errors=True)
    pages = sources()
    for path, page in pages.items():
        target = folder / "pages" / page
        target.parent.mkdir(parents=True, exist_ok=True)
        if page.suffix == ".md":
            target.write_text(text_of(path, pages), encoding="utf-8")
        else:
            shutil.copyfile(path, target)
    (folder / "zensical.toml").write_text(_SETTINGS.replace("{nav}", navigation(pages.values())), encoding="utf-8")


def generate(folder: Path) -> int:
    """Build what was staged in ``folder`` as ``folder``/site; the exit code, which is not 0 for a broken link."""
    command = [sys.executable, "-m", "zensical", "build", "--strict", "--clean", "-f", str(folder / "zensical.toml")]
    return subprocess.run(command, check=False, cwd=folder).returncode


if __name__ == "__main__":
    stage(ROOT / "build")
    sys.exit(generate(ROOT / "build"))
