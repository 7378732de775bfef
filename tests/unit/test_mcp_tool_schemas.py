from typing import Any

from muniment_api.gateway.tool_schemas import squeezed


def test_a_schema_keeps_what_tells_and_loses_what_repeats() -> None:
    given: dict[str, Any] = {
        "$defs": {"Mode": {"enum": ["a", "b"], "title": "Mode", "type": "string", "description": "How."}},
        "properties": {
            "title": {"title": "Title", "type": "string"},
            "source": {"anyOf": [{"type": "string"}, {"type": "null"}], "default": None, "title": "Source"},
            "tags": {"anyOf": [{"type": "string"}, {"items": {"type": "string"}, "type": "array"}], "default": ""},
            "others": {"anyOf": [{"type": "string"}, {"type": "array"}, {"type": "null"}], "default": None},
            "mode": {"$ref": "#/$defs/Mode", "default": "a"},
            "modes": {"items": {"$ref": "#/$defs/Mode"}, "type": "array", "title": "Modes"},
        },
        "required": ["title"],
        "title": "exampleArguments",
        "type": "object",
    }
    mode = {"enum": ["a", "b"], "type": "string", "description": "How."}
    assert squeezed(given) == {
        "properties": {
            "title": {"type": "string"},
            "source": {"type": "string"},
            "tags": {"anyOf": [{"type": "string"}, {"items": {"type": "string"}, "type": "array"}], "default": ""},
            "others": {"anyOf": [{"type": "string"}, {"type": "array"}]},
            "mode": {**mode, "default": "a"},
            "modes": {"items": mode, "type": "array"},
        },
        "required": ["title"],
        "type": "object",
    }


def test_a_parameter_may_be_called_like_a_keyword_of_the_schema() -> None:
    nested = {"type": "object", "title": "Item", "properties": {"title": {"type": "string", "title": "Title"}}}
    given = {"properties": {"items": {"type": "array", "items": nested}}, "type": "object"}
    inside = {"type": "object", "properties": {"title": {"type": "string"}}}
    assert squeezed(given) == {"properties": {"items": {"type": "array", "items": inside}}, "type": "object"}
