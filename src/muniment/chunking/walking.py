"""Walks a syntax tree: where a text may be cut, and what it defines. Pure.

Python looks only at the nodes that hold definitions or are too long to be one chunk: visiting every node would cost
several times the parse.
"""

import re
from collections.abc import Mapping
from typing import Final, NamedTuple

from tree_sitter import Node

from muniment.chunking.grammars import Role
from muniment.chunking.lines import MAX_CHARS
from muniment.chunking.outline import Definition, Outline

MAX_DEPTH: Final = 1_000
STATEMENT_BYTES: Final = 1_000  # a longer statement may be parted if its function must be
LONG_COMMENT_BYTES: Final = 600  # may be parted from a definition that fills a chunk by itself
MAX_NAME_BYTES: Final = 200
_GENERICS: Final = re.compile(r"<.*>|\[.*\]", re.DOTALL)
_SEPARATORS: Final = re.compile(r"::|\.|->|\\")


class _Visit(NamedTuple):
    node: Node
    cut: bool  # too long for one chunk
    level: int = 0  # how far below the root
    depth: int = 0  # how many definitions and statements a cut here would part
    scope: str = ""
    local: bool = False  # in a body, whose variables are nobody's business
    header: bool = False  # a definition: what stands in it beside its body is not parted
    begin: int = 0  # where the comments of a transparent node begin: they are its first child's


class TreeWalk:
    """One walk over one tree; ``source`` is its text in UTF-8, and offsets are bytes."""

    def __init__(self, source: bytes, roles: Mapping[int, Role]) -> None:
        self._source = source
        self._roles = roles
        self._found = Outline()
        self._pending: list[_Visit] = []

    def outline(self, root: Node) -> Outline | None:
        """None if the tree is nested too deeply."""
        self._pending.append(_Visit(root, cut=root.end_byte - root.start_byte > MAX_CHARS))
        while self._pending:
            visit = self._pending.pop()
            if visit.level > MAX_DEPTH:
                return None
            (self._cut if visit.cut else self._name)(visit)
        self._found.definitions.sort(key=lambda definition: (definition.start, -definition.end))
        return self._found

    def _name(self, visit: _Visit) -> None:
        """Looks for definitions in a node that stays whole."""
        for child in visit.node.children:
            role = self._roles[child.kind_id]
            if role.namer or role.walked:
                scope = self._define(child, role, visit, child.start_byte)
                if role.walked:
                    self._pending.append(_Visit(child, False, visit.level + 1, scope=scope))

    def _cut(self, visit: _Visit) -> None:
        """Looks for definitions, and for the lines at which siblings begin."""
        source, roles, cuts = self._source, self._roles, self._found.cuts
        depth, limit = visit.depth, STATEMENT_BYTES if visit.local else MAX_CHARS
        before = visit.node.start_byte  # where the sibling before ends
        opened = 0  # where the comments that lead to the next sibling begin
        first = True
        for child in visit.node.children:
            role = roles[child.kind_id]
            if not role.named:
                before, opened = child.end_byte, 0
                continue
            start, end = child.byte_range
            # a node may end with its line break
            line = source.rfind(b"\n", before - 1 if before else 0, start) + 1
            before = end
            if role.leading:
                opened = opened or line
                continue
            begin = opened or line
            opened = 0
            if start == end:
                continue
            if first:
                begin = visit.begin or begin
            elif begin and not role.body and not visit.header:
                cuts.setdefault(begin, depth)
            first = False
            begin = begin or start
            long = end - begin > limit
            scope = self._define(child, role, visit, begin) if role.namer else visit.scope
            if long and line > begin and start - begin > LONG_COMMENT_BYTES:
                cuts.setdefault(line, depth + 1)
            if long or (role.walked and not visit.local):
                self._enter(child, role, visit, scope, begin, long)

    def _enter(self, node: Node, role: Role, visit: _Visit, scope: str, begin: int, long: bool) -> None:
        transparent = role.transparent
        self._pending.append(
            _Visit(
                node,
                long,
                visit.level + 1,
                visit.depth if transparent else visit.depth + 1,
                scope,
                visit.local or not role.walked,
                role.namer is not None and not transparent,
                begin if transparent else 0,
            )
        )

    def _define(self, node: Node, role: Role, visit: _Visit, begin: int) -> str:
        """Notes what ``node`` defines, if anything; returns the scope of what is in it."""
        if role.namer is None or (role.minor and visit.local):
            return visit.scope
        name = role.namer(node, self._source)
        if not name or len(name) > MAX_NAME_BYTES:
            return visit.scope
        label = name.decode("utf-8", "replace")
        if not label.isidentifier():
            parts = [part.strip() for part in _SEPARATORS.split(_GENERICS.sub("", label))]
            label = ".".join(part for part in parts if part)
            if not label:
                return visit.scope
        symbol = f"{visit.scope}.{label}" if visit.scope else label
        plain = label.rpartition(".")[2] if role.introduces else None
        self._found.definitions.append(Definition(begin, node.end_byte, symbol, plain, role.minor, role.scope))
        return visit.scope if role.transparent else symbol
