"""Every link inside the repository leads somewhere, and to a heading that is there."""

import pytest
from pages import PAGES, ROOT, Page

# On GitHub, the repository's own pages beside its files.
BESIDE = "../../actions/"


def wrong(page):
    """The links of a page that lead nowhere."""
    for line, link in page.links:
        if link.startswith(("https://", BESIDE)):
            continue
        path, _, anchor = link.partition("#")
        target = (page.path.parent / path).resolve() if path else page.path
        if not target.exists():
            yield f"{page.name}:{line}: {link}: there is no {path}"
        elif ROOT not in target.parents:
            yield f"{page.name}:{line}: {link}: outside the repository"
        elif anchor and anchor not in Page(target).anchors:
            yield f"{page.name}:{line}: {link}: no heading is #{anchor}"


@pytest.mark.parametrize("page", PAGES.values(), ids=PAGES.keys())
def test_every_link_leads_somewhere(page):
    assert list(wrong(page)) == []


def test_a_link_that_leads_nowhere_is_found(tmp_path, monkeypatch):
    page = tmp_path / "page.md"
    page.write_text("# One\n[a](#one) [b](#two) [c](none.md) [d](http://example.com)\n`[e](code)`\n")
    monkeypatch.setattr("pages.ROOT", tmp_path)
    monkeypatch.setattr("test_links.ROOT", tmp_path)
    assert [line.split(": ")[1] for line in wrong(Page(page))] == ["#two", "none.md", "http://example.com"]


def test_every_page_of_the_documentation_is_in_its_index():
    index = PAGES["docs/README.md"]
    linked = {(index.path.parent / link.partition("#")[0]).resolve() for _, link in index.links}
    documents = {page.path for name, page in PAGES.items() if name.startswith("docs/")}
    assert documents - linked <= {index.path}
