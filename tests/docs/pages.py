"""The repository's Markdown, taken apart: blocks, headings, links."""

import dataclasses
import functools
import pathlib
import re
import subprocess

ROOT = pathlib.Path(__file__).parents[2]


@dataclasses.dataclass(frozen=True)
class Block:
    """What stands between two fences."""

    page: str
    line: int
    language: str
    text: str

    def __str__(self):
        return f"{self.page}:{self.line}"


@dataclasses.dataclass(frozen=True)
class Page:
    path: pathlib.Path

    @property
    def name(self):
        return str(self.path.relative_to(ROOT))

    @functools.cached_property
    def blocks(self):
        fenced = re.finditer(
            r"^( *)```(\w*)\n(.*?)^\1```$", self.path.read_text(), re.MULTILINE | re.DOTALL
        )
        text = self.path.read_text()
        return [
            Block(self.name, text.count("\n", 0, one.start()) + 1, one[2], one[3]) for one in fenced
        ]

    @functools.cached_property
    def prose(self):
        """The text without its blocks, of which only the empty lines are left."""
        fenced = re.compile(r"^( *)```.*?^\1```$", re.MULTILINE | re.DOTALL)
        return fenced.sub(lambda one: "\n" * one[0].count("\n"), self.path.read_text())

    @functools.cached_property
    def anchors(self):
        """What `#…` may name, as GitHub makes it of the headings."""
        seen, anchors = {}, set()
        for heading in re.findall(r"^#+ (.+)$", self.prose, re.MULTILINE):
            plain = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading)
            anchor = re.sub(r"[^\w\- ]", "", plain.lower()).replace(" ", "-")
            count = seen.setdefault(anchor, 0)
            seen[anchor] += 1
            anchors.add(f"{anchor}-{count}" if count else anchor)
        return anchors

    @functools.cached_property
    def links(self):
        """Where links and images go to, with their lines."""
        inline_code = re.sub(r"`[^`\n]*`", lambda one: "·" * len(one[0]), self.prose)
        # An image may be what a link shows: both have a target.
        targets = re.finditer(r"\]\(([^()\s]+)\)", inline_code)
        return [(inline_code.count("\n", 0, one.start()) + 1, one[1]) for one in targets]

    @functools.cached_property
    def indented_blocks(self):
        """Lines that Markdown shows as a block though no fence says what they are."""
        lines = self.prose.splitlines()
        begins = [
            number
            for number, line in enumerate(lines, start=1)
            if re.match(r" {4}\S", line) and (number == 1 or not lines[number - 2].strip())
        ]
        return begins


def pages():
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    found = [Page(ROOT / name) for name in listed.stdout.splitlines() if (ROOT / name).exists()]
    assert found, "no page at all"
    return found


PAGES = {page.name: page for page in pages()}


def rows(page: str, columns: int):
    """The rows of all tables of that many columns on a page, without their headings."""
    found = []
    for line in PAGES[page].prose.splitlines():
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        if len(cells) == columns and not set("".join(cells)) <= set("-: "):
            found.append(cells)
    return found
