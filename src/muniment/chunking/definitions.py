"""Finds the names that a source text defines, by one regular expression a family of languages. Pure.

A guess for ranking and labels, not a parse: it may miss a name, it should rarely invent one.
"""

import re
from collections.abc import Mapping

# Every expression begins with a line break: the search then jumps from line to line instead of trying every letter.
_MODIFIERS = (
    r"(?:(?:export|default|public|private|protected|internal|static|abstract|final|async|pub(?:\([a-z: ]+\))?|unsafe"
    r"|extern(?: \"C\")?|const|virtual|override|inline|sealed|open|data|suspend|partial|readonly|declare|typedef"
    r"|local|global|implicit|lazy|case|companion)[ \t]+)*"
)
_KEYWORDS = (
    r"(?:def|defp|defmodule|defmacro|class|func|fun|fn|function\*?|struct|interface|type|enum|trait|module|namespace"
    r"|object|protocol|record|actor|mod|union|macro_rules!|sub|proc|message|service|rpc)"
)
_KEYWORD = re.compile(rf"\n[ \t]*{_MODIFIERS}{_KEYWORDS}[ \t]+(?:\([^)\n]*\)[ \t]*)?([A-Za-z_$][\w$]*)")
_GO = re.compile(r"\n(?:func(?:[ \t]+\([^)\n]*\))?|type|const|var)[ \t]+([A-Za-z_]\w*)")
_PYTHON = re.compile(
    r"\n[ \t]*(?:(?:async[ \t]+)?def|class)[ \t]+([A-Za-z_]\w*)|\n([A-Z][A-Z0-9_]+)(?:[ \t]*:[^=\n]+)?[ \t]*=[^=]"
)
_RUST = re.compile(
    rf"\n[ \t]*{_MODIFIERS}(?:(?:fn|struct|enum|trait|type|mod|union|macro_rules!|static(?: mut)?)[ \t]+([A-Za-z_]\w*)"
    r"|const[ \t]+([A-Z_]\w*)[ \t]*:)"
)
_SCRIPT = re.compile(
    rf"\n[ \t]*{_MODIFIERS}(?:class|function\*?|interface|type|enum|namespace)[ \t]+([A-Za-z_$][\w$]*)"
    r"|\n(?:export[ \t]+)?(?:const|let|var)[ \t]+([A-Za-z_$][\w$]*)[ \t]*(?::[^=\n]+)?="
)
_C = re.compile(
    r"\n(?:"
    r"[ \t]*#[ \t]*define[ \t]+([A-Za-z_]\w*)"
    r"|(?:typedef[ \t]+)?(?:struct|union|enum|class|namespace)[ \t]+(?:class[ \t]+|[A-Z_]+[ \t]+)?"
    r"([A-Za-z_]\w*+)[^;\n(){=]*+\n?\{"  # possessive: else a long name is tried at every length
    r"|(?!return|else|typedef|#)[A-Za-z_][\w \t*&:<>,~]*?[ \t*&:~]([A-Za-z_]\w*+)[ \t]*+\([^;{}()]*+\)[^;{}\n]*+\n?\{"
    r")"
)
_JAVA = re.compile(
    rf"\n[ \t]*{_MODIFIERS}(?:"
    r"(?:class|interface|enum|record|struct|object|namespace)[ \t]+([A-Za-z_]\w*)"
    r"|(?<=[ \t])(?!return|new|else|throw)[A-Za-z_][\w.]*(?:<[^;()\n]*>)?[\[\]?]*[ \t]+([A-Za-z_]\w*)[ \t]*"
    r"\([^;{}()]*\)[^;{}()=\n]*\n?[ \t]*\{)"
)
_SHELL = re.compile(r"\n(?:function[ \t]+)?([A-Za-z_][\w:-]*)[ \t]*\(\)|\nfunction[ \t]+([A-Za-z_][\w:-]*)")

_FAMILIES: Mapping[re.Pattern[str], str] = {
    _GO: "go",
    _PYTHON: "python cython starlark bazel",
    _RUST: "rust",
    _SCRIPT: "javascript typescript vue svelte",
    _C: "c cpp cuda objective-c",
    _JAVA: "java csharp",
    _SHELL: "shell",
    _KEYWORD: (
        "crystal d dart elixir fsharp groovy julia kotlin lua nim ocaml perl php protobuf ruby scala solidity swift"
        " thrift zig graphql"
    ),
}
_BY_LANGUAGE = {language: pattern for pattern, listed in _FAMILIES.items() for language in listed.split()}


def definitions(text: str, language: str | None) -> list[tuple[int, str]]:
    """(offset of the definition's line, name) in the order of the text."""
    pattern = _BY_LANGUAGE.get(language or "")
    if pattern is None:
        return []
    return [(found.start() or 0, found.group(found.lastindex or 0)) for found in pattern.finditer("\n" + text)]
