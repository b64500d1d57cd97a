"""Clauses of a prompt: the parts that its Markdown structure gives it, each of which can be left out.

A clause is a section under a heading (the deepest ones), an item of a list whose items hold more than a line, or a
paragraph that ends in a colon with the list after it. Other paragraphs are clauses of their own, but for the first one,
which says who the agent is.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from markdown_it import MarkdownIt
from markdown_it.token import Token

from evals.catalog import front_matter
from evals.catalog.agents import Source

_WORDS = 5
_CHARACTERS_A_TOKEN = 4


@dataclass(frozen=True, kw_only=True)
class Clause:
    """Lines `start` to `end` (exclusive) of a prompt's body."""

    name: str
    start: int
    end: int
    text: str

    @property
    def tokens(self) -> int:
        """About how many tokens it takes: four characters each."""
        return max(1, round(len(self.text) / _CHARACTERS_A_TOKEN))


@dataclass(frozen=True, kw_only=True)
class _Block:
    """A block on the top level: its kind, its lines, and for a list the lines of its items."""

    kind: str
    level: int
    start: int
    end: int
    items: tuple[tuple[int, int], ...] = ()


def find(body: str) -> tuple[Clause, ...]:
    """The clauses of a body, in order; names differ."""
    lines = body.split("\n")
    spans: list[tuple[int, int]] = []
    blocks = _blocks(MarkdownIt("commonmark").parse(body))
    sections = _sections(blocks)
    outside = [block for block in blocks if not any(s <= block.start < e for s, e in sections)]
    spans += sections + _groups(outside, lines)
    named: dict[str, int] = {}
    return tuple(_clause(lines, start, end, named) for start, end in sorted(spans))


def without(source: Source, clause: Clause) -> Source:
    """The prompt file with a clause left out."""
    text = front_matter.decode(source.data)
    _, body = front_matter.split(source.data, source.where)
    lines = body.split("\n")
    kept = "\n".join(lines[: clause.start] + lines[clause.end :])
    at = text.rindex(body)
    changed = text[:at] + re.sub(r"\n{3,}", "\n\n", kept).strip() + "\n"
    variant = f"without-{clause.name}"
    return replace(source, data=changed.encode(), variant=variant, spelled=f"{source.spelled} without {clause.name}")


def _blocks(tokens: list[Token]) -> list[_Block]:
    blocks, depth, items = [], 0, []
    for token in tokens:
        if token.type == "list_item_open" and depth == 1 and token.map:
            items.append((token.map[0], token.map[1]))
        if token.nesting == 1:
            if depth == 0 and token.map:
                level = int(token.tag[1]) if token.type == "heading_open" else 0
                blocks.append(_Block(kind=token.type, level=level, start=token.map[0], end=token.map[1]))
                items = []
            depth += 1
        elif token.nesting == -1:
            depth -= 1
            if depth == 0 and items:
                blocks[-1] = replace(blocks[-1], items=tuple(items))
                items = []
        elif depth == 0 and token.map:
            blocks.append(_Block(kind=token.type, level=0, start=token.map[0], end=token.map[1]))
    return blocks


def _sections(blocks: list[_Block]) -> list[tuple[int, int]]:
    """From each heading without a deeper one under it to the next heading, or the end."""
    headings = [n for n, block in enumerate(blocks) if block.level]
    found = []
    for place, n in enumerate(headings):
        following = headings[place + 1] if place + 1 < len(headings) else None
        is_parent = following is not None and blocks[following].level > blocks[n].level
        if not is_parent:
            end = blocks[following].start if following is not None else blocks[-1].end
            found.append((blocks[n].start, end))
    return found


def _groups(blocks: list[_Block], lines: list[str]) -> list[tuple[int, int]]:
    """Clauses among blocks that no section holds."""
    found: list[tuple[int, int]] = []
    n = 1 if blocks and blocks[0].kind == "paragraph_open" and not _introduces(blocks[0], lines) else 0
    while n < len(blocks):
        block = blocks[n]
        following = blocks[n + 1] if n + 1 < len(blocks) else None
        if block.level:
            n += 1
        elif _introduces(block, lines) and following is not None and following.items:
            found += _list(following) or [(block.start, following.end)]
            n += 2
        else:
            found += _list(block) or [(block.start, block.end)]
            n += 1
    return found


def _introduces(block: _Block, lines: list[str]) -> bool:
    return block.kind == "paragraph_open" and lines[block.end - 1].rstrip().endswith(":")


def _list(block: _Block) -> list[tuple[int, int]]:
    """The items of a list whose items are more than a line each on average; else nothing: it is one clause."""
    if not block.items or block.end - block.start < 2 * len(block.items):
        return []
    return list(block.items)


def _clause(lines: list[str], start: int, end: int, named: dict[str, int]) -> Clause:
    text = "\n".join(lines[start:end]).strip()
    bold = re.search(r"\*\*(.+?)\*\*", text.split("\n", 1)[0])
    words = re.findall(r"[a-z0-9]+", (bold[1] if bold else text.split("\n", 1)[0]).lower())
    name = "-".join(words[:_WORDS]) or "clause"
    named[name] = named.get(name, 0) + 1
    name = name if named[name] == 1 else f"{name}-{named[name]}"
    return Clause(name=name, start=start, end=end, text=text)
