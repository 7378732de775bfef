"""What a file is, told from its path alone: its language, its kind, and whether it is someone else's. Pure.

Search filters by these and ranks tests, docs and vendored files behind the code that they are about.
"""

import re
from collections.abc import Mapping
from enum import StrEnum
from functools import lru_cache

KINDS_VERSION = 2  # counted up when a path gets another kind: it is stored with every chunk


class Kind(StrEnum):
    """What a file is for; exactly one each."""

    CODE = "code"
    TEST = "test"
    DOC = "doc"
    CONFIG = "config"
    EXAMPLE = "example"
    OTHER = "other"


_EXTENSIONS: Mapping[str, str] = {
    "ada": "adb ads",
    "asciidoc": "adoc asciidoc",
    "assembly": "asm s",
    "awk": "awk",
    "batch": "bat cmd",
    "bazel": "bazel bzl",
    "c": "c h",
    "clojure": "clj cljc cljs edn",
    "cmake": "cmake",
    "cpp": "c++ cc cpp cxx h++ hh hpp hxx inl ipp tpp",
    "crystal": "cr",
    "csharp": "cs csx",
    "css": "css",
    "csv": "csv tsv",
    "cuda": "cu cuh",
    "cython": "pxd pyx",
    "d": "d di",
    "dart": "dart",
    "devicetree": "dts dtsi",
    "diff": "diff patch",
    "dockerfile": "dockerfile",
    "elixir": "ex exs",
    "elm": "elm",
    "erlang": "erl hrl",
    "fortran": "f f03 f08 f77 f90 f95 for",
    "fsharp": "fs fsi fsx",
    "gherkin": "feature",
    "glsl": "frag glsl vert",
    "go": "go",
    "graphql": "gql graphql",
    "groovy": "gradle groovy",
    "haskell": "hs lhs",
    "hcl": "hcl tf tfvars",
    "html": "htm html xhtml",
    "ini": "cfg conf ini properties",
    "java": "java",
    "javascript": "cjs js jsx mjs",
    "json": "json json5 jsonc jsonl ndjson webmanifest",
    "jupyter": "ipynb",
    "julia": "jl",
    "kconfig": "kconfig",
    "kotlin": "kt kts",
    "latex": "bib cls sty tex",
    "less": "less",
    "lisp": "cl el lisp lsp",
    "lua": "lua",
    "make": "mak mk",
    "markdown": "markdown md mdown mdx",
    "matlab": "mat",
    "nim": "nim nims",
    "nix": "nix",
    "objective-c": "m mm",
    "ocaml": "ml mli",
    "org": "org",
    "pascal": "pas pp",
    "perl": "pl pm pod",
    "php": "php phtml",
    "powershell": "ps1 psd1 psm1",
    "prolog": "pro",
    "protobuf": "proto",
    "puppet": "epp",
    "python": "py pyi pyw",
    "r": "r rmd",
    "racket": "rkt",
    "restructuredtext": "rst",
    "ruby": "gemspec rake rb ru",
    "rust": "rs",
    "sass": "sass",
    "scala": "sbt sc scala",
    "scheme": "scm ss",
    "scss": "scss",
    "shell": "bash fish ksh sh zsh",
    "solidity": "sol",
    "sql": "sql",
    "starlark": "star",
    "svelte": "svelte",
    "swift": "swift",
    "tcl": "tcl",
    "template": "ejs erb haml hbs j2 jinja jinja2 mustache njk tmpl tpl twig",
    "text": "log txt",
    "thrift": "thrift",
    "toml": "toml",
    "typescript": "cts mts ts tsx",
    "vbnet": "vb",
    "verilog": "sv svh v vh",
    "vhdl": "vhd vhdl",
    "vim": "vim",
    "vue": "vue",
    "wgsl": "wgsl",
    "xml": "csproj props svg targets vcxproj wsdl xaml xml xsd xsl xslt",
    "yaml": "yaml yml",
    "zig": "zig",
}

_NAMES: Mapping[str, str] = {
    "bazel": "build build.bazel workspace workspace.bazel module.bazel",
    "cmake": "cmakelists.txt",
    "dockerfile": "containerfile dockerfile",
    "go-module": "go.mod go.sum go.work",
    "groovy": "jenkinsfile",
    "ini": ".editorconfig .gitconfig .npmrc .pylintrc pylintrc",
    "json": ".babelrc .eslintrc .prettierrc composer.lock pipfile.lock",
    "just": "justfile",
    "kconfig": "kconfig",
    "make": "gnumakefile kbuild makefile",
    "ruby": "brewfile fastfile gemfile podfile rakefile vagrantfile",
    "shell": ".bash_profile .bashrc .envrc .profile .zshrc",
    "text": "authors changes contributors copying copyright license licence maintainers notice readme",
    "toml": "cargo.lock pipfile poetry.lock uv.lock",
    "yaml": "owners owners_aliases",
}

_BY_EXTENSION = {extension: language for language, listed in _EXTENSIONS.items() for extension in listed.split()}
_BY_NAME = {name: language for language, listed in _NAMES.items() for name in listed.split()}

LANGUAGES: frozenset[str] = frozenset({*_EXTENSIONS, *_NAMES})

_DOC_LANGUAGES = frozenset({"asciidoc", "latex", "markdown", "org", "restructuredtext", "text"})
_CONFIG_LANGUAGES = frozenset(
    {"bazel", "cmake", "dockerfile", "just", "kconfig", "make"}
    | {"go-module", "hcl", "ini", "json", "toml", "xml", "yaml"}
)
_DATA_LANGUAGES = frozenset({"csv", "diff", "jupyter"})
_PAGE_LANGUAGES = frozenset({"css", "html", "javascript", "less", "sass", "scss", "xml"})  # in a folder of documents

# On the lower-case path with a leading slash, so that every folder stands between two slashes.
_TEST = re.compile(
    r"/(?:tests?|testing|testdata|test-data|test_data|fixtures?|__tests__|__mocks__|__snapshots__|specs?|e2e|mocks?)/"
    r"|/(?:test_[^/]*|conftest)\.py$"
    r"|/[^/]*_(?:test|tests|spec|unittest)\.[a-z0-9+]+$"
    r"|/[^/]*[.-](?:test|spec|cy)\.[cm]?[jt]sx?$"
)
_CAMEL_TEST = re.compile(
    r"(?:^|/)(?:[^/]*[a-z0-9])?(?:Test|Tests|TestCase|Spec|IT)\.(?:java|kt|scala|groovy|php|swift|cs)$"
)
_EXAMPLE = re.compile(r"/(?:examples?|samples?|demos?|tutorials?)/")
_DOC_FOLDER = re.compile(r"/(?:docs?|documentation)/")
_STUB = re.compile(r"\.(?:pyi|d\.[cm]?ts)$")
_VENDORED = re.compile(
    r"/(?:vendor|vendored|_vendor|_vendored|third[_-]?party|3rd[_-]?party|extern|node_modules"
    r"|bower_components|site-packages|godeps)/"
)


def language_of(path: str) -> str | None:
    """The language by file name, else by extension, or None: one of LANGUAGES."""
    return _language(path.rstrip("/").rpartition("/")[2].lower())


@lru_cache(maxsize=65536)
def _language(name: str) -> str | None:
    if name in _BY_NAME:
        return _BY_NAME[name]
    stem, dot, extension = name.rpartition(".")
    if dot and extension in _BY_EXTENSION:
        return _BY_EXTENSION[extension]
    # Dockerfile.dev, Makefile.am, LICENSE-MIT
    return _BY_NAME.get(re.split(r"[.-]", name, maxsplit=1)[0]) if stem or "-" in name else None


@lru_cache(maxsize=8192)
def kind_of(path: str) -> Kind:
    """A test wins over an example, an example over a document, whatever the language. Pages that documents are built
    into are documents too; a program among documents is code."""
    language = language_of(path)
    lower = f"/{path.lower()}"
    if _TEST.search(lower) or _CAMEL_TEST.search(path):
        return Kind.TEST
    if language in _DOC_LANGUAGES:
        return Kind.DOC
    if _EXAMPLE.search(lower):
        return Kind.EXAMPLE
    among_documents = _DOC_FOLDER.search(lower) is not None
    if among_documents and language in _PAGE_LANGUAGES:
        return Kind.DOC
    if language in _CONFIG_LANGUAGES:
        return Kind.CONFIG
    return _rest(language, among_documents)


def _rest(language: str | None, among_documents: bool) -> Kind:
    if language is not None and language not in _DATA_LANGUAGES:
        return Kind.CODE
    return Kind.DOC if among_documents and language != "diff" else Kind.OTHER


def is_vendored(path: str) -> bool:
    """Whether a path lies in a folder that holds other people's code."""
    return _VENDORED.search(f"/{path.lower()}") is not None


def is_stub(path: str) -> bool:
    """Whether a file declares what others do: ``.pyi``, ``.d.ts``."""
    return _STUB.search(path.lower()) is not None
