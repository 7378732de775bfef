"""One change to MiniLM's graph: a token's row is taken from the table of bytes, and only then made floats.

As it comes the graph makes the whole table floats (47 MB, of which a text needs a few rows) and takes the rows from it.
The session would do that once and keep it. What comes out is the same bit by bit: each number is multiplied as before.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

# numbers of fields in ONNX's protobuf messages
GRAPH, NODE, INPUT, OUTPUT, NAME, OPERATOR = 7, 1, 1, 2, 3, 4
VARINT, SIZED = 0, 2  # kinds of fields, and how long the others are
FIXED = {1: 8, 5: 4}
TOKENS = b"input_ids"


@dataclass(frozen=True, slots=True)
class _Field:
    number: int
    whole: memoryview
    content: memoryview  # empty unless it has a size


@dataclass(frozen=True, slots=True)
class _Node:
    place: int  # among the fields of the graph
    operator: bytes
    inputs: list[bytes]
    outputs: list[bytes]
    rest: bytes  # attributes and the like


def rows_before_floats(model: bytes) -> bytes:
    """The ONNX model with Gather(Cast(table) * scales, tokens) as Cast(Gather(table)) * Gather(scales).

    Raises KeyError for a model that has no such lookup.
    """
    return b"".join(
        _sized(GRAPH, _changed(part.content)) if part.number == GRAPH else bytes(part.whole)
        for part in _fields(memoryview(model))
    )


def _changed(graph: memoryview) -> bytes:
    parts = list(_fields(graph))
    nodes = [_node(place, part.content) for place, part in enumerate(parts) if part.number == NODE]
    maker = {output: node for node in nodes for output in node.outputs}
    gather = {node.inputs[1]: node for node in nodes if node.operator == b"Gather"}[TOKENS]
    product = maker[gather.inputs[0]]
    cast, scales = maker[product.inputs[0]], product.inputs[1]
    made = [bytes(part.whole) for part in parts]
    made[cast.place] = made[product.place] = b""
    made[gather.place] = b"".join(
        (
            _wired(gather, [cast.inputs[0], TOKENS], [b"rows"]),
            _wired(gather, [scales, TOKENS], [b"row_scales"]),
            _wired(cast, [b"rows"], [b"row_floats"]),
            _wired(product, [b"row_floats", b"row_scales"], gather.outputs),
        )
    )
    return b"".join(made)


def _node(place: int, content: memoryview) -> _Node:
    parts = list(_fields(content))

    def named(number: int) -> list[bytes]:
        return [bytes(part.content) for part in parts if part.number == number]

    rest = b"".join(part.whole for part in parts if part.number not in {INPUT, OUTPUT, NAME})
    return _Node(place, b"".join(named(OPERATOR)), named(INPUT), named(OUTPUT), rest)


def _wired(node: _Node, inputs: Sequence[bytes], outputs: Sequence[bytes]) -> bytes:
    """The same operation on other tensors."""
    ends = [_sized(INPUT, name) for name in inputs] + [_sized(OUTPUT, name) for name in outputs]
    return _sized(NODE, b"".join(ends) + node.rest)


def _fields(message: memoryview) -> Iterator[_Field]:
    at = 0
    while at < len(message):
        start = at
        key, at = _varint(message, at)
        kind = key & 7
        if kind == VARINT:
            _, at = _varint(message, at)
            size = 0
        elif kind == SIZED:
            size, at = _varint(message, at)
        else:
            size = FIXED[kind]
        yield _Field(key >> 3, message[start : at + size], message[at : at + size])
        at += size


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    """The number that begins there, and where it ends."""
    number = shift = 0
    while message[at] & 0x80:
        number |= (message[at] & 0x7F) << shift
        at, shift = at + 1, shift + 7
    return number | message[at] << shift, at + 1


def _sized(number: int, content: bytes) -> bytes:
    head = bytearray()
    for value in (number << 3 | SIZED, len(content)):
        left = value
        while left > 0x7F:
            head.append(left & 0x7F | 0x80)
            left >>= 7
        head.append(left)
    return bytes(head) + content
