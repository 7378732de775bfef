"""Globs over indexed paths. Pure."""

import re
from collections.abc import Callable, Sequence
from typing import Final

from muniment.errors import InvalidValue
from muniment.lexical.glob_automaton import GlobAutomaton

MAX_GLOB: Final = 300
MAX_BRANCHES: Final = 32  # that braces may stand for
# A regular expression of Python tries every way to share a path among its wildcards: more than two are left to an
# automaton, or one question could hold up all others for seconds.
MAX_WILD: Final = 2
_TOKEN: Final = re.compile(r"\*\*/|\*\*|\*|\?|\[!?\]?[^\]/]*\]|.", re.DOTALL)
_BRACES: Final = re.compile(r"\{([^{}]*,[^{}]*)\}")


def glob_pattern(glob: str) -> str:
    """A regular expression, for Python and tantivy alike, that matches whole paths.

    ``*`` and ``?`` stay within a folder, ``**`` crosses folders, ``[ab]`` is one of them, ``{a,b}`` one of two words. A
    glob without a slash matches names at any depth; one that ends in a folder's plain name matches everything below it.
    A leading ``./`` and ``\\`` between folders are read as people mean them. Raises InvalidValue.
    """
    branches = [_branch_pattern(glob, branch) for branch in _branches(glob)]
    return branches[0] if len(branches) == 1 else "|".join(f"({branch})" for branch in branches)


def glob_patterns(globs: Sequence[str]) -> tuple[str | None, str | None]:
    """Two regular expressions: of paths that one of the globs matches, and of those that a glob behind a '!' matches.

    None where there is no such glob. Raises InvalidValue.
    """
    wanted, unwanted = _sorted_out(globs)
    return _any_of(list(map(glob_pattern, wanted))), _any_of(list(map(glob_pattern, unwanted)))


def glob_matcher(globs: Sequence[str]) -> Callable[[str], bool]:
    """Whether a path matches what ``glob_patterns`` do, in a time that grows with its length alone."""
    wanted, unwanted = (
        [_branch_matcher(glob, branch) for glob in part for branch in _branches(glob)] for part in _sorted_out(globs)
    )

    def matches(path: str) -> bool:
        return (not wanted or any(one(path) for one in wanted)) and not any(one(path) for one in unwanted)

    return matches


def _sorted_out(globs: Sequence[str]) -> tuple[list[str], list[str]]:
    clean = [glob.strip() for glob in globs]
    return [one for one in clean if not one.startswith("!")], [one[1:].strip() for one in clean if one.startswith("!")]


def _branches(glob: str) -> list[str]:
    """What the glob stands for, without braces, blanks around it and a leading './'."""
    if len(glob) > MAX_GLOB:
        raise InvalidValue("path_glob", glob[:40] + "…", f"it is longer than {MAX_GLOB} characters")
    branches = [glob.strip().replace("\\", "/")]
    while any(_BRACES.search(branch) for branch in branches):
        branches = [one for branch in branches for one in _unbraced(branch)]
        if len(branches) > MAX_BRANCHES:
            raise InvalidValue("path_glob", glob, f"its braces stand for more than {MAX_BRANCHES} globs")
    clean = [re.sub(r"^(\./)+", "", branch) for branch in branches]
    if any(not branch.strip("/.") for branch in clean):
        raise InvalidValue("path_glob", glob, "it matches no file; leave it out to search them all")
    return list(dict.fromkeys(clean))


def _unbraced(branch: str) -> list[str]:
    found = _BRACES.search(branch)
    if found is None:
        return [branch]
    return [branch[: found.start()] + choice + branch[found.end() :] for choice in found[1].split(",")]


def _anchored(branch: str) -> bool:
    return "/" in branch.rstrip("/")


def _names_a_folder(branch: str) -> bool:
    """Whether what lies below it matches too."""
    return not re.search(r"[*?\[]", branch.strip("/").rpartition("/")[2])


def _tokens(branch: str) -> list[str]:
    """A run of the same wildcards says no more than one of them."""
    tokens: list[str] = []
    for token in _TOKEN.findall(branch.strip("/")):
        if token not in ("*", "**", "**/") or not tokens or tokens[-1] != token:
            tokens.append(token)
    return tokens


def _branch_pattern(glob: str, branch: str) -> str:
    pattern = "" if _anchored(branch) else r"([^\x00]*/)?"
    for token in _tokens(branch):
        if token == "**/":
            pattern += r"([^\x00]*/)?"
        elif token == "**":
            pattern += r"[^\x00]*"
        elif token == "*":
            pattern += r"[^/]*"
        elif token == "?":
            pattern += r"[^/]"
        elif len(token) > 1:
            pattern += _one_of(token)
        else:
            pattern += re.sub(r"[\\.+*?()|\[\]{}^$]", r"\\\g<0>", token)
    if _names_a_folder(branch):
        pattern += r"(/[^\x00]*)?"
    try:
        re.compile(pattern)
    except re.error as error:
        raise InvalidValue("path_glob", glob, str(error)) from error
    return pattern


def _one_of(token: str) -> str:
    """``[ab]`` or ``[!ab]`` as a regular expression."""
    inside = re.sub(r"([\[\]\\^&~|])", r"\\\1", token[1:-1].removeprefix("!"))
    return f"[^/{inside}]" if token[1] == "!" else f"[{inside}]"


def _branch_matcher(glob: str, branch: str) -> Callable[[str], bool]:
    pattern, tokens = _branch_pattern(glob, branch), _tokens(branch)
    tokens = tokens if _anchored(branch) else ["**/", *tokens]
    wild = sum(token in ("*", "**", "**/") for token in tokens) + _names_a_folder(branch)
    if wild <= MAX_WILD:
        compiled = re.compile(pattern)
        return lambda path: compiled.fullmatch(path) is not None
    classes = {token: re.compile(_one_of(token)) for token in tokens if len(token) > 1 and token[0] == "["}
    return GlobAutomaton(tokens, classes, below=_names_a_folder(branch)).matches


def _any_of(patterns: list[str]) -> str | None:
    return "|".join(f"({pattern})" for pattern in patterns) or None
