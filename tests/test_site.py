"""The documentation site: it builds, every page is in it, and a link that leads nowhere is an error."""

from __future__ import annotations

import importlib.util
import json
import re
from pathlib import Path
from types import ModuleType

import pytest

pytest.importorskip("zensical", reason="the extra `docs` is not installed")

ROOT = Path(__file__).parent.parent


def _site() -> ModuleType:
    spec = importlib.util.spec_from_file_location("documentation_site", ROOT / "docs" / "site.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    site = _site()
    site.stage(folder)
    assert site.generate(folder) == 0
    return folder


def test_every_page_is_in_the_site_and_in_its_menu(built: Path) -> None:
    files = {path.relative_to(ROOT / "docs").with_suffix(".html") for path in (ROOT / "docs").rglob("*.md")}
    files |= {Path("specs", f"{path.stem}.html") for path in (ROOT / "specs").glob("*.flowrl")}
    missing = [str(file) for file in files if not (built / "site" / file).exists()]
    assert missing == []
    menu = (built / "zensical.toml").read_text()
    assert [str(file) for file in files if f'"{file.with_suffix(".md")}"' not in menu] == []


def test_the_site_can_be_searched(built: Path) -> None:
    found = json.loads((built / "site" / "search.json").read_text())
    texts = [item["text"] for item in found["items"]]
    for words in ("weighted regression", "srun flowrl-dsl resume", "arXiv:2312.11752"):
        assert any(words in text for text in texts)


def test_the_site_loads_nothing_from_elsewhere(built: Path) -> None:
    for page in (built / "site").rglob("*.html"):
        loaded = re.findall(
            r"<(?:script|img|iframe)[^>]*\ssrc=\"?([^\" >]+)|<link[^>]*\shref=\"?([^\" >]+)", page.read_text()
        )
        assert [one or other for one, other in loaded if "//" in (one or other)] == []


def test_the_picture_of_the_taxonomy_is_shown(built: Path) -> None:
    assert "taxonomy.svg" in (built / "site/reference/taxonomy.html").read_text()
    assert (built / "site/reference/taxonomy.svg").exists()


@pytest.mark.parametrize("link", ["nowhere.md", "tutorial.md#no-such-part"])
def test_a_link_that_leads_nowhere_is_an_error(tmp_path: Path, link: str, capfd) -> None:
    pages = tmp_path / "pages"
    pages.mkdir()
    (pages / "index.md").write_text(f"# Home\n\n[there]({link})\n")
    (pages / "tutorial.md").write_text("# Tutorial\n")
    site = _site()
    (tmp_path / "zensical.toml").write_text(site._SETTINGS.replace("{nav}", '["index.md", "tutorial.md"]'))
    assert site.generate(tmp_path) != 0
    assert "does not exist" in capfd.readouterr().err


def test_specs_are_coloured(built: Path) -> None:
    """By the lexer that installing the package makes known to Pygments."""
    page = (built / "site/specs/qsm.html").read_text()
    assert re.search(r'<span class="?k\w*"?>algorithm</span>', page)
