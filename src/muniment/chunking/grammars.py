"""The languages that are cut at definitions: one row each, naming the node types of its tree-sitter grammar.

A further language is a row here, a dependency, and a sample in the tests.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from importlib import import_module
from typing import Final

from tree_sitter import Language

from muniment.chunking import names
from muniment.chunking.names import Namer

ERROR_KIND: Final = 65_535


@dataclass(frozen=True, slots=True)
class Grammar:
    """Each field but the first two lists node types. What is listed as transparent too has a name, but what it holds
    is not called by it; a scope that is listed as minor too is a mere namespace. ``names`` says where a name is if not
    in the node's field of that name."""

    wheel: str
    function: str = "language"
    scopes: str = ""  # named, and what they hold is called by it
    definitions: str = ""
    minor: str = ""  # named, and a chunk is only called so if nothing better is in it
    transparent: str = ""  # their children stand for them
    bodies: str = ""  # transparent, and never parted from what stands above
    leading: str = "comment"
    names: Mapping[str, Namer] = field(default_factory=dict)


_JAVASCRIPT: Final = Grammar(
    "tree_sitter_javascript",
    scopes="class_declaration class",
    definitions=(
        "function_declaration generator_function_declaration method_definition field_definition assignment_expression"
    ),
    minor="variable_declarator",
    transparent="export_statement lexical_declaration variable_declaration expression_statement",
    bodies="class_body statement_block",
    leading="comment decorator",
    names={"assignment_expression": names.assigned_function, "field_definition": names.of_field("property")},
)
_TYPESCRIPT: Final = Grammar(
    "tree_sitter_typescript",
    "language_typescript",
    scopes="class_declaration abstract_class_declaration class interface_declaration internal_module module",
    definitions=(
        "function_declaration generator_function_declaration method_definition public_field_definition"
        " assignment_expression enum_declaration type_alias_declaration function_signature method_signature"
        " abstract_method_signature"
    ),
    minor="variable_declarator internal_module module",
    transparent=f"{_JAVASCRIPT.transparent} ambient_declaration",
    bodies=f"{_JAVASCRIPT.bodies} interface_body",
    leading="comment decorator",
    names={"assignment_expression": names.assigned_function, "public_field_definition": names.function_value},
)
_C: Final = Grammar(
    "tree_sitter_c",
    definitions=(
        "function_definition type_definition struct_specifier union_specifier enum_specifier preproc_function_def"
    ),
    minor="declaration preproc_def",
    transparent=(
        "linkage_specification preproc_if preproc_ifdef preproc_else preproc_elif preproc_elifdef type_definition"
    ),
    bodies="compound_statement declaration_list field_declaration_list",
    names={
        "function_definition": names.declared,
        "type_definition": names.declared,
        "declaration": names.initialised,
        "struct_specifier": names.with_body,
        "union_specifier": names.with_body,
        "enum_specifier": names.with_body,
    },
)
_CPP: Final = replace(
    _C,
    wheel="tree_sitter_cpp",
    scopes="class_specifier struct_specifier union_specifier namespace_definition",
    definitions=(
        "function_definition type_definition enum_specifier preproc_function_def alias_declaration concept_definition"
    ),
    minor=f"{_C.minor} namespace_definition",
    transparent=f"{_C.transparent} template_declaration",
    leading="comment template_parameter_list",
    names={**_C.names, "class_specifier": names.with_body},
)

GRAMMARS: Final[Mapping[str, Grammar]] = {
    "python": Grammar(
        "tree_sitter_python",
        scopes="class_definition",
        definitions="function_definition type_alias_statement",
        minor="assignment",
        transparent=(
            "decorated_definition expression_statement if_statement else_clause elif_clause try_statement"
            " except_clause finally_clause with_statement"
        ),
        bodies="block",
        leading="comment decorator",
        names={"assignment": names.assigned, "type_alias_statement": names.of_field("left")},
    ),
    "javascript": _JAVASCRIPT,
    "typescript": _TYPESCRIPT,
    "tsx": replace(_TYPESCRIPT, function="language_tsx"),
    "go": Grammar(
        "tree_sitter_go",
        definitions="function_declaration method_declaration type_spec type_alias",
        minor="const_spec var_spec",
        transparent="type_declaration const_declaration var_declaration var_spec_list",
        bodies="block statement_list",
        names={"method_declaration": names.go_method},
    ),
    "rust": Grammar(
        "tree_sitter_rust",
        scopes="impl_item trait_item mod_item",
        definitions=(
            "function_item function_signature_item struct_item enum_item union_item type_item macro_definition"
        ),
        minor="const_item static_item mod_item",
        transparent="foreign_mod_item",
        bodies="declaration_list block",
        leading="line_comment block_comment attribute_item inner_attribute_item",
        names={"impl_item": names.of_field("type")},
    ),
    "java": Grammar(
        "tree_sitter_java",
        scopes=(
            "class_declaration interface_declaration enum_declaration record_declaration annotation_type_declaration"
        ),
        definitions=(
            "method_declaration constructor_declaration compact_constructor_declaration"
            " annotation_type_element_declaration"
        ),
        minor="field_declaration",
        bodies="class_body interface_body enum_body enum_body_declarations annotation_type_body constructor_body block",
        leading="line_comment block_comment",
        names={"field_declaration": names.variable},
    ),
    "c": _C,
    "cpp": _CPP,
    "csharp": Grammar(
        "tree_sitter_c_sharp",
        scopes="class_declaration struct_declaration interface_declaration record_declaration",
        definitions=(
            "enum_declaration method_declaration constructor_declaration destructor_declaration property_declaration"
            " delegate_declaration event_declaration local_function_statement"
        ),
        minor="namespace_declaration file_scoped_namespace_declaration",
        transparent=(
            "namespace_declaration file_scoped_namespace_declaration preproc_if preproc_else preproc_elif"
            " global_statement"
        ),
        bodies="declaration_list block",
        leading="comment preproc_region",
    ),
    "ruby": Grammar(
        "tree_sitter_ruby",
        scopes="module class",
        definitions="method singleton_method",
        minor="assignment module",
        transparent="singleton_class",
        bodies="body_statement",
        names={"assignment": names.assigned},
    ),
    "php": Grammar(
        "tree_sitter_php",
        "language_php",
        scopes="class_declaration interface_declaration trait_declaration",
        definitions="enum_declaration method_declaration function_definition",
        minor="const_element namespace_definition",
        transparent="namespace_definition const_declaration",
        bodies="declaration_list enum_declaration_list compound_statement colon_block",
        names={"const_element": names.first},
    ),
    "shell": Grammar(
        "tree_sitter_bash",
        definitions="function_definition",
        transparent="if_statement",
        bodies="compound_statement",
    ),
}


@dataclass(frozen=True, slots=True)
class Role:
    """What a node type means in the walk over a tree."""

    named: bool = True  # not a mere token
    leading: bool = False
    transparent: bool = False
    body: bool = False
    namer: Namer | None = None  # finds the name of what it defines
    scope: bool = False
    minor: bool = False
    introduces: bool = True  # its name; an implementation block bears the name of something else
    walked: bool = False  # looked into even where it need not be cut


_TOKEN: Final = Role(named=False)
_PLAIN: Final = Role()
_TRANSPARENT: Final = Role(transparent=True, walked=True)


@dataclass(frozen=True, slots=True)
class Loaded:
    """A grammar in this process: the parser's tables, and what each kind of node means."""

    language: Language
    roles: Mapping[int, Role]


@cache
def load(name: str) -> Loaded | None:
    """None if the grammar's wheel is missing or too old for the parser."""
    grammar = GRAMMARS[name]
    try:
        language = Language(getattr(import_module(grammar.wheel), grammar.function)())
    except (ImportError, AttributeError, ValueError):
        return None
    by_type = _roles(grammar)
    roles: dict[int, Role] = {ERROR_KIND: _TRANSPARENT}
    for kind in range(language.node_kind_count):
        named = language.node_kind_is_named(kind)
        roles[kind] = by_type.get(language.node_kind_for_id(kind) or "", _PLAIN) if named else _TOKEN
    return Loaded(language, roles)


def _roles(grammar: Grammar) -> dict[str, Role]:
    roles = dict.fromkeys(grammar.transparent.split(), _TRANSPARENT)
    roles |= dict.fromkeys(grammar.bodies.split(), replace(_TRANSPARENT, body=True))
    roles |= dict.fromkeys(grammar.leading.split(), Role(leading=True))
    for field_name, minor in (("definitions", False), ("minor", True)):
        for kind in getattr(grammar, field_name).split():
            roles[kind] = replace(roles.get(kind, _PLAIN), namer=grammar.names.get(kind, names.name), minor=minor)
    for kind in grammar.scopes.split():
        namer = grammar.names.get(kind, names.name)
        minor = roles.get(kind, _PLAIN).minor
        roles[kind] = Role(namer=namer, scope=True, minor=minor, walked=True, introduces=kind != "impl_item")
    return roles


# Both begin with a literal, which the search jumps to. In a comment "Example::" ends a line, and "class" is English.
_QUALIFIED: Final = re.compile(r"::(?<=\w::)[A-Za-z_~]")
_CPP_LINE: Final = re.compile(
    r"\n[ \t]*(?:class\s+\w[\w\s:,<>]{0,200}\{|namespace\b|template\s*<"
    r"|(?:public|private|protected)\s*:|using\s+\w+\s*[=;])"
)


def grammar_of(path: str, language: str | None, text: str) -> str | None:
    """The key of GRAMMARS for a file, if any. Headers do not say whether they are C or C++: their text does."""
    name = path.lower()
    if language == "typescript" and name.endswith("x"):
        return "tsx"
    if language == "c" and name.endswith(".h") and (_QUALIFIED.search(text) or _CPP_LINE.search(text)):
        return "cpp"
    return language if language in GRAMMARS else None
