"""The documentation site: it builds without a warning, its links lead somewhere, and no page asks another host."""

from __future__ import annotations

import posixpath
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
import yaml

from tools.site import generated, repository
from tools.site.markdown import for_site, indented

ROOT = Path(__file__).resolve().parents[2]
LOADED = {"img": "src", "script": "src", "link": "href", "iframe": "src"}
NO_REQUEST = {"canonical", "alternate", "prev", "next"}  # <link> that names another page


class Links(HTMLParser):
    """What a page loads, and where it leads."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.leads_to: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        loaded = found.get(LOADED.get(tag, ""))
        if loaded and found.get("rel") not in NO_REQUEST:
            self.loads.append(loaded)
        if tag == "a" and found.get("href"):
            self.leads_to.append(found["href"] or "")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    words = [sys.executable, "-m", "tools.site", "build", "--site-dir", str(folder)]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "WARNING" not in done.stderr
    return folder


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[str, Links]:
    return {page.relative_to(site).as_posix(): Links(page.read_text()) for page in site.rglob("*.html")}


@pytest.mark.slow
def test_no_page_loads_anything_from_another_host(pages: dict[str, Links]) -> None:
    assert {(page, link) for page, links in pages.items() for link in links.loads if urlsplit(link).netloc} == set()


@pytest.mark.slow
def test_no_style_sheet_loads_anything_from_another_host(site: Path) -> None:
    outside = re.compile(r"(?:url\(|@import )[\"']?https?://[^)\"']+")
    sheets = {path.name: outside.findall(path.read_text()) for path in site.rglob("*.css")}
    assert sheets
    assert not any(sheets.values()), sheets


@pytest.mark.slow
def test_every_link_of_the_built_pages_leads_to_a_file_of_the_site(site: Path, pages: dict[str, Links]) -> None:
    missing = set()
    for page, links in pages.items():
        for link in [*links.loads, *links.leads_to]:
            parts = urlsplit(link)
            if parts.scheme or not parts.path or page == "404.html":
                continue
            target = site / posixpath.normpath(posixpath.join(posixpath.dirname(page), unquote(parts.path)))
            if not (target / "index.html" if target.is_dir() else target).is_file():
                missing.add((page, link))
    assert missing == set()


@pytest.mark.slow
def test_links_to_the_repository_lead_to_its_files(pages: dict[str, Links]) -> None:
    prefix = re.compile(rf"{re.escape(repository.url())}/(?:blob|tree|raw)/main/([^#]+)")
    named = {found[1] for links in pages.values() for link in links.leads_to if (found := prefix.match(link))}
    assert "blogauto_otel/sdk/span.py" in named
    assert {name for name in named if not (ROOT / name).exists()} == set()


@pytest.mark.slow
def test_the_reference_has_every_public_name(site: Path) -> None:
    import blogauto_otel

    page = (site / "reference/blogauto_otel/index.html").read_text()
    shown = {found.rpartition(".")[2] for found in re.findall(r'<h[23] id="(blogauto_otel\.[\w.]+)"', page)}
    elsewhere = {"metrics", "Settings"}  # they have pages of their own
    assert set(blogauto_otel.__all__) - shown == elsewhere


@pytest.mark.slow
@pytest.mark.parametrize(("page", "language"), [("tutorial", "en"), ("tutorial.ko", "ko")])
def test_a_page_names_its_language(site: Path, page: str, language: str) -> None:
    assert f'<html lang="{language}"' in (site / page / "index.html").read_text()


@pytest.mark.slow
def test_a_page_that_the_navigation_lacks_fails_the_build(tmp_path: Path) -> None:
    """And so does a link that leads nowhere. The project of the test has two pages, and the validation of ours."""
    ours = yaml.load((ROOT / "mkdocs.yml").read_text(), Loader=yaml.BaseLoader)
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs/index.md").write_text("# Home\n[nowhere](missing.md)\n")
    (tmp_path / "docs/forgotten.md").write_text("# Forgotten\n")
    config = {"site_name": "test", "nav": ["index.md"], "strict": True, "validation": ours["validation"]}
    (tmp_path / "mkdocs.yml").write_text(yaml.safe_dump(config))
    words = [sys.executable, "-m", "mkdocs", "build", "--config-file", str(tmp_path / "mkdocs.yml")]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "forgotten.md" in done.stderr
    assert "'missing.md'" in done.stderr


def test_every_board_has_its_part_of_the_page() -> None:
    headings = re.findall(r"^## (.+)$", generated.pages()["boards.md"], re.MULTILINE)
    assert headings[0] == "Overview"
    assert len(headings) == len(list(generated.BOARDS.glob("*.json")))


@pytest.mark.parametrize(
    ("link", "expected"),
    [
        ("../SECURITY.md#reporting", "{url}/blob/main/SECURITY.md#reporting"),
        ("../collector/", "{url}/tree/main/collector"),
        ("../monitoring/missing.py", "../monitoring/missing.py"),
        ("decisions/", "decisions/README.md"),
        ("settings.md#traces", "settings.md#traces"),
        ("https://example.org/a.md", "https://example.org/a.md"),
        ("#here", "#here"),
    ],
)
def test_a_link_leads_to_the_same_file_in_the_site(link: str, expected: str) -> None:
    assert for_site(f"[x]({link})", "docs/page.md") == f"[x]({expected.format(url=repository.url())})\n"


LIST = """Before:
- one
  - deeper

    more
1. first

   ```bash
   - no item
   ```
2. second
after
"""
INDENTED = """Before:

- one
    - deeper

        more
1. first

    ```bash
    - no item
    ```

2. second
after
"""


def test_lists_are_indented_as_the_site_needs_them() -> None:
    assert indented(LIST) == INDENTED
