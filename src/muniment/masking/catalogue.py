"""Kingfisher's rules (Betterleaks' and Veles' among them) and our few beside them, run over one text.

The only module that knows the library. It scans in this process and never uses the network.
"""

import fcntl
import logging
import re
import threading
from bisect import bisect, bisect_left
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from itertools import accumulate
from pathlib import Path
from posixpath import splitext
from typing import Final

from kingfisher_sdk import Finding, Rules, ScanInput, Scanner

from muniment.masking import judging
from muniment.masking.keys import without_opening_lines
from muniment.masking.spans import MARKER, Span

log = logging.getLogger(__name__)
_OWN_RULES: Final = Path(__file__).with_name("rules.yml")
_INSIDE_A_CHARACTER: Final = bytes(range(0x80, 0xC0))  # UTF-8
_FILLER: Final = "\x1a"  # stands where nothing may be found; one byte, and no rule asks for it

# Halves of a pair that the library shows only with their other half.
_HIDDEN_SECRETS: Final = frozenset({"aws-secret-access-key", "alibaba-sts-security-token", "exoscale-api-secret"})
# What our own modules and rules find more exactly.
_LEFT_OUT: Final = frozenset({"private-key", "gcp-service-account", "mongodb-connection-string"})
# Findings of these kinds rest on what stands around them, so the value is judged.
_JUDGES: Final = {
    "aws-access-key": judging.is_no_example,
    "aws-secret-access-key": judging.is_aws_secret,
    "connection-password": judging.is_password,
    "hashicorp-tf-password": judging.is_password,
    "curl-auth-header": judging.is_token,
    "curl-auth-user": judging.is_password,
    "bearer-token": judging.is_token,
    "basic-auth": judging.is_basic_auth,
    "encoded-private-key": judging.is_encoded_private_key,
}
_KINDS: Final = {"generic-credential-uri": "connection-password", "npmjsaccesstoken": "npm-access-token"}
_LINE: Final = re.compile(r"""[\s"'`{]|://""")
_KEY_OF_LINE: Final = re.compile(r"[\w.-]+:\s+")
# The library reads some rules for these names alone; with the true path it would pass over vendored and locked files.
_SUFFIXES_WITH_RULES: Final = frozenset({".yaml", ".yml", ".tf", ".hcl", ".php"})
_CODE: Final = frozenset(
    {".c", ".cc", ".cpp", ".cs", ".cxx", ".h", ".hpp", ".m", ".mm", ".go", ".rs", ".swift", ".zig"}
    | {".clj", ".groovy", ".java", ".kt", ".scala", ".js", ".jsx", ".mjs", ".ts", ".tsx", ".vue", ".dart"}
    | {".ex", ".exs", ".lua", ".php", ".pl", ".pm", ".py", ".pyi", ".r", ".rb"}
)
_ASSIGNMENT: Final = re.compile(
    r"(?P<before>[?&;]?)[ \t]{0,4}(?P<key>[\w.:-]{1,80})[\"'\]]{0,3}[ \t]{0,8}(?P<sign>=>|:=|=|:)[ \t]{0,8}\Z"
)


_compiled: list[Path] = []
_loading = threading.Lock()


def keep_compiled(folder: Path) -> None:
    """Has the first text load the rules from ``folder``, where their compiled form is kept: 3 s when it is empty, else
    0.3 s, and 35 MB. Without this call they are kept in the library's own folder below the user's home.

    One process compiles, others that want them meanwhile wait for it.
    """
    _compiled[:] = [folder]


def load(folder: Path) -> None:
    """The same, and loads them now."""
    keep_compiled(folder)
    scanner()


def scanner() -> Scanner:
    """Loaded by the first that asks, once."""
    with _loading:
        return _loaded()


@cache
def _loaded() -> Scanner:
    if not _compiled:
        return _scanner(None)
    folder = _compiled[0]
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with (folder / "lock").open("w") as lock:
            if not any(path.name != "lock" for path in folder.iterdir()):
                fcntl.flock(lock, fcntl.LOCK_EX)
            return _scanner(folder)
    except OSError as error:
        log.warning("the masking rules are compiled in every process: %s", error)
        return _scanner(folder)


def _scanner(folder: Path | None) -> Scanner:
    return Scanner(Rules([_OWN_RULES], cache_dir=folder), base64=False)


def secrets(path: str, text: str) -> list[Span]:
    """Every secret that the rules find in the text."""
    content = _without_masked(text)
    data = content.encode("utf-8", "surrogatepass")
    suffix = splitext(path)[1].lower()
    if suffix in _SUFFIXES_WITH_RULES:
        findings = scanner().scan_input(ScanInput(path=f"file{suffix}", data=data))
    else:
        findings = scanner().scan(data)
    bare_values = suffix not in _CODE
    spans = [_trimmed(content, span) for span in _in_characters(data, findings)]
    return _most_telling(content, [span for span in spans if _is_secret(content, span, bare_values)])


def _without_masked(text: str) -> str:
    """The text with filler, as many bytes, where a secret was masked and where a key begins."""
    text = text.replace("\0", " ").replace(_FILLER, " ")  # a NUL makes the library take the text for UTF-16
    if "[masked:" in text:
        text = MARKER.sub(lambda marker: _FILLER * len(marker[0]), text)
    return without_opening_lines(text, _FILLER)


def _in_characters(data: bytes, findings: Iterable[Finding]) -> Iterator[Span]:
    """The findings with their byte offsets turned into those of characters, at the beginning of a character each."""
    placed = [(finding, finding.location) for finding in findings if _is_shown(finding)]
    offsets = sorted({at[edge] for _, at in placed for edge in ("start_offset", "end_offset")})
    pieces = (data[start:end] for start, end in zip([0, *offsets], offsets, strict=False))
    characters = accumulate(len(piece.translate(None, _INSIDE_A_CHARACTER)) for piece in pieces)
    position = dict(zip(offsets, characters, strict=True))
    for finding, at in placed:
        yield Span(position[at["start_offset"]], position[at["end_offset"]], _kind(finding.rule_id))


def _is_shown(finding: Finding) -> bool:
    name = _name(finding.rule_id)
    return name in _HIDDEN_SECRETS or (finding.visible and name not in _LEFT_OUT)


def _name(rule_id: str) -> str:
    """`betterleaks.groq-api-key` and `veles.secrets/groqapikey` without their catalogue."""
    return re.sub(r"\.\d+\Z", "", rule_id.split(".", 1)[-1].rsplit("/", 1)[-1]).lower()


def _kind(rule_id: str) -> str:
    name = _name(rule_id)
    return _KINDS.get(name, name)


def _trimmed(text: str, span: Span) -> Span:
    """Without the key of a whole line and without the quotes around a value."""
    start, end = span.start, span.end
    if key := _KEY_OF_LINE.match(text, start, end):
        start = key.end()
    while end - start > 1 and text[start] in "\"'" and text[end - 1] == text[start]:
        start, end = start + 1, end - 1
    return Span(start, end, span.kind)


def _is_secret(text: str, span: Span, bare_values: bool) -> bool:
    value = text[span.start : span.end]
    if _FILLER in value or judging.is_reference(value):
        return False
    if span.kind == "assigned-secret":
        return _is_assigned(text, span, value, bare_values)
    judge = _JUDGES.get(span.kind)
    return judge is None or judge(value)


def _is_assigned(text: str, span: Span, value: str, bare_values: bool) -> bool:
    if not judging.has_digit(value):  # most values stop here, before their key is looked for
        return False
    quoted = text[span.start - 1 : span.start] in ("'", '"')
    before = text[max(0, span.start - 120) : span.start - quoted]
    assignment = _ASSIGNMENT.search(before)
    if assignment is None:
        return False
    # In source code a value without quotes is an expression, except as a parameter of an address.
    is_value = quoted or bare_values or (assignment["before"] != "" and assignment["sign"] == "=")
    return is_value and judging.is_assigned_secret(assignment["key"], value)


def _most_telling(text: str, spans: Sequence[Span]) -> list[Span]:
    """One span for what several rules found: tokens that overlap are joined, and go before lines that hold them."""
    tokens: list[Span] = []
    lines: list[Span] = []
    for span in sorted(spans, key=lambda span: (span.start, span.kind == "assigned-secret", -span.end)):
        if _LINE.search(text, span.start, span.end):
            lines.append(span)
        elif tokens and span.start < tokens[-1].end:
            tokens[-1] = Span(tokens[-1].start, max(tokens[-1].end, span.end), tokens[-1].kind)
        else:
            tokens.append(span)
    starts = [token.start for token in tokens]
    return tokens + [line for line in lines if bisect(starts, line.end - 1) == bisect_left(starts, line.start)]
