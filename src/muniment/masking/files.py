"""Files that exist to hold secrets: `.env` and its kin, `.netrc`, `.pgpass`, `.npmrc`, `.pypirc`. Pure."""

import re
from collections.abc import Iterator
from posixpath import basename
from typing import Final

from muniment.masking.judging import is_harmless
from muniment.masking.spans import MARKER, Span

_TEMPLATE: Final = re.compile(r"\.(?:example|sample|template|tmpl|dist|defaults?)(?:\.|$)")
# A quoted value may run over several lines, but only if nothing but a comment follows its closing quote. `NAME: value`
# counts too, but in a comment it would be a sentence.
_ENV: Final = re.compile(
    r"^\ufeff?[ \t]*+"
    r"(?:(?:\#[ \t]*+)?(?:export[ \t]++)?[A-Za-z_][\w.-]*+[ \t]*+=|[A-Za-z_][\w.-]*+:(?=[ \t]))[ \t]*+"
    r"(?:\"(?P<double>(?:[^\"\\]|\\.)*+)\"(?=[ \t]*+(?:\#|\r?$))"
    r"|'(?P<single>[^']*+)'(?=[ \t]*+(?:\#|\r?$))"
    r"|`(?P<tick>[^`]*+)`(?=[ \t]*+(?:\#|\r?$))"
    r"|(?P<bare>[^\s#][^\r\n]*+))",
    re.MULTILINE | re.DOTALL,
)
_NETRC: Final = re.compile(r"\b(?:password|account)[ \t\r\n]++(?P<bare>\S++)")
_PGPASS: Final = re.compile(r"^(?!\#)(?:(?:[^:\\\r\n]|\\.)*+:){4}(?P<bare>[^\r\n]++)", re.MULTILINE)
_SETTING: Final = re.compile(
    r"^[^\r\n=;#]{0,256}?(?:_authToken|_auth|_password|\bpassword)[ \t]*+[=:][ \t]*+(?P<bare>[^\s#;][^\r\n]*+)",
    re.MULTILINE,
)
_PASSWORD: Final = {
    ".netrc": _NETRC,
    "_netrc": _NETRC,
    ".pgpass": _PGPASS,
    "pgpass.conf": _PGPASS,
    ".npmrc": _SETTING,
    ".pypirc": _SETTING,
}


def values(path: str, text: str) -> Iterator[Span]:
    """Each value of such a file that is not plainly harmless; nothing in any other file."""
    form = _form(basename(path).lower())
    if form is None:
        return
    pattern, kind = form
    for line in pattern.finditer(text):
        group = line.lastgroup or "bare"
        start, end = line.span(group)
        if group == "bare":
            end = start + len(line[group].rstrip())
        value = text[start:end]
        if not (is_harmless(value) or MARKER.fullmatch(value.strip())):
            yield Span(start, end, kind)


def _form(name: str) -> tuple[re.Pattern[str], str] | None:
    if pattern := _PASSWORD.get(name):
        return pattern, "password"
    is_env = name in (".env", ".envrc") or name.startswith(".env.") or name.endswith(".env")
    return (_ENV, "env-value") if is_env and not _TEMPLATE.search(name) else None
