"""Finds the name that a node of a syntax tree defines, or None if it defines nothing. Pure."""

import re
from collections.abc import Callable
from typing import Final

from tree_sitter import Node

# Not node.text: of a text that was parsed through a callback, it costs more than the parse.
Namer = Callable[[Node, bytes], bytes | None]


def _text(node: Node | None, source: bytes) -> bytes | None:
    return source[node.start_byte : node.end_byte] if node else None


def of_field(field: str) -> Namer:
    """The name is the text of a field."""
    return lambda node, source: _text(node.child_by_field_name(field), source)


name: Final = of_field("name")
_WITHOUT_FIELD: Final = frozenset({"parenthesized_declarator", "reference_declarator", "attributed_declarator"})
_FUNCTION_VALUES: Final = frozenset({"arrow_function", "function_expression", "generator_function", "class"})
_NOT_OF_THE_NAME: Final = re.compile(rb"^(?:module\.)?exports\.|^(?:this|window|self)\.|\bprototype\.")
_RECEIVER: Final = re.compile(rb"([A-Za-z_]\w*)\s*(?:\[[^]]*\]\s*)?,?\s*\)$")
_RECEIVER_BYTES: Final = 400  # of its end are looked at: the search takes the square of it


def declared(node: Node, source: bytes) -> bytes | None:
    """C and C++: through pointers, arrays and parameter lists down to the name."""
    found = node.child_by_field_name("declarator")
    while found:
        deeper = found.child_by_field_name("declarator")
        if deeper is None and found.type in _WITHOUT_FIELD and found.named_child_count:
            deeper = found.named_child(found.named_child_count - 1)
        if deeper is None:
            return _text(found, source)
        found = deeper
    return None


def initialised(node: Node, source: bytes) -> bytes | None:
    """C and C++: a variable with a value; a prototype defines nothing."""
    declarator = node.child_by_field_name("declarator")
    return declared(declarator, source) if declarator and declarator.type == "init_declarator" else None


def variable(node: Node, source: bytes) -> bytes | None:
    """Java: the first of the variables that a declaration names."""
    declarator = node.child_by_field_name("declarator")
    return name(declarator, source) if declarator else None


def with_body(node: Node, source: bytes) -> bytes | None:
    """C and C++: ``struct name {...}``; without a body it is a mention."""
    return name(node, source) if node.child_by_field_name("body") else None


def go_method(node: Node, source: bytes) -> bytes | None:
    """``Type.Method``: the type is the last word of ``(t *Type[T])``."""
    method, receiver = name(node, source), _text(node.child_by_field_name("receiver"), source)
    found = _RECEIVER.search((receiver or b"")[-_RECEIVER_BYTES:])
    return found[1] + b"." + method if found and method else method


def assigned_function(node: Node, source: bytes) -> bytes | None:
    """JavaScript: ``exports.name = function``, ``Class.prototype.name = () => ...``."""
    value = node.child_by_field_name("right")
    if value is None or value.type not in _FUNCTION_VALUES:
        return None
    left = _text(node.child_by_field_name("left"), source) or b""
    return None if left in (b"module.exports", b"exports") else _NOT_OF_THE_NAME.sub(b"", left)


def function_value(node: Node, source: bytes) -> bytes | None:
    """TypeScript: a field that holds a function."""
    value = node.child_by_field_name("value")
    return name(node, source) if value and value.type in _FUNCTION_VALUES else None


def assigned(node: Node, source: bytes) -> bytes | None:
    """Python and Ruby: ``name = ...``, but no attribute, item or tuple."""
    left = node.child_by_field_name("left")
    return _text(left, source) if left and left.type in ("identifier", "constant") else None


def first(node: Node, source: bytes) -> bytes | None:
    """The name is the first child, which is no field."""
    return _text(node.named_child(0), source) if node.named_child_count else None
