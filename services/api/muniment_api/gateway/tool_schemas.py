"""Makes the schemas of tools small: every agent that connects carries the whole list in its context. Pure."""

from typing import Any

# A type and its default already say that a parameter may be left out; a title repeats its name.
DROPPED = frozenset({"title"})


def squeezed(schema: dict[str, Any]) -> dict[str, Any]:
    """A JSON schema without titles, without the null of optional values, and with definitions in their places."""
    return _parameters(_inlined(schema, schema.get("$defs", {})))


def _parameters(schema: dict[str, Any]) -> dict[str, Any]:
    properties = {name: _plain(one) for name, one in schema.get("properties", {}).items()}
    rest = {key: value for key, value in schema.items() if key not in {*DROPPED, "$defs", "properties"}}
    return rest | {"properties": properties}


def _plain(schema: Any) -> Any:
    if not isinstance(schema, dict):
        return schema
    plain = {key: _inside(key, value) for key, value in schema.items() if key not in DROPPED}
    if plain.get("default", ...) is None:
        del plain["default"]
    kinds = [one for one in plain.get("anyOf", ()) if one != {"type": "null"}]
    if len(kinds) == 1:
        del plain["anyOf"]
        return kinds[0] | plain
    if kinds:
        plain["anyOf"] = kinds
    return plain


def _inside(key: str, value: Any) -> Any:
    if key == "properties":
        return {name: _plain(one) for name, one in value.items()}
    return [_plain(one) for one in value] if isinstance(value, list) else _plain(value)


def _inlined(schema: Any, definitions: dict[str, Any]) -> Any:
    """Each definition is used once or twice: a reference costs as much, and some clients do not follow it."""
    if isinstance(schema, list):
        return [_inlined(one, definitions) for one in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        named = definitions[schema["$ref"].rpartition("/")[2]]
        return _inlined(named, definitions) | {key: value for key, value in schema.items() if key != "$ref"}
    return {key: _inlined(value, definitions) for key, value in schema.items() if key != "$defs"}
