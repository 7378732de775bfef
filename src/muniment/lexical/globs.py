"""Globs over indexed paths. Pure."""

import re
from typing import Final

from muniment.errors import InvalidValue

MAX_GLOB: Final = 300


def glob_pattern(glob: str) -> str:
    """A regular expression, for Python and tantivy alike, that matches whole paths.

    ``*`` and ``?`` stay within a folder, ``**`` crosses folders, ``[ab]`` is one of them. A glob without a slash
    matches names at any depth; one that ends in a folder's plain name matches everything below it. Raises InvalidValue.
    """
    if len(glob) > MAX_GLOB:
        raise InvalidValue("path_glob", glob[:40] + "…", f"it is longer than {MAX_GLOB} characters")
    anchored = "/" in glob.rstrip("/")
    pattern = "" if anchored else r"([^\x00]*/)?"
    for token in re.findall(r"\*\*/|\*\*|\*|\?|\[!?\]?[^\]/]*\]|.", glob.strip("/"), re.DOTALL):
        if token == "**/":
            pattern += r"([^\x00]*/)?"
        elif token == "**":
            pattern += r"[^\x00]*"
        elif token == "*":
            pattern += r"[^/]*"
        elif token == "?":
            pattern += r"[^/]"
        elif len(token) > 1:
            inside = re.sub(r"([\[\]\\^&~|])", r"\\\1", token[1:-1].removeprefix("!"))
            pattern += f"[^/{inside}]" if token[1] == "!" else f"[{inside}]"
        else:
            pattern += re.sub(r"[\\.+*?()|\[\]{}^$]", r"\\\g<0>", token)
    if not re.search(r"[*?\[]", glob.strip("/").rpartition("/")[2]):
        pattern += r"(/[^\x00]*)?"
    try:
        re.compile(pattern)
    except re.error as error:
        raise InvalidValue("path_glob", glob, str(error)) from error
    return pattern
