"""Whether a value looks like a real secret or like a placeholder, an expression, a name. Pure.

Known shapes of tokens need no judge; these rules decide where only a name such as `password` points at a value.
"""

import base64
import binascii
import math
import re
from collections import Counter
from itertools import pairwise
from typing import Final
from urllib.parse import unquote

_FAKE: Final = re.compile(
    r"example|change_?me|place_?holder|your|dummy|fake|redacted|replace|insert|todo|fixme|xxx|\*\*\*|\.\.\.|…|masked:",
    re.IGNORECASE,
)
# Words and runs that make up invented values; a real one has enough beside them.
_FILLING: Final = re.compile(
    r"pass(?:word|wd|phrase)?|pwd|secret|token|api|keys?|credentials?|access|aws|user(?:name)?|test(?:ing)?|mock|sample|default"
    r"|foo|bar|baz|0?1234(?:5(?:6(?:7(?:89?0?)?)?)?)?|abcd(?:ef(?:gh(?:ij)?)?)?|qwerty?|(\w)\1{3,}",
    re.IGNORECASE,
)
_ENOUGH: Final = 8
_EXPRESSION: Final = re.compile(
    r"\$\{|\$\(|\{\{|\{%|<%|%\(|%[sdv]\b|\$[A-Z_]{3}|\$[a-z_]{4}|[<{].*[>}]|@[A-Z_]+@|::|->|\(\)|^\$|^!|^%\w+%$"
)
_REFERENCE: Final = re.compile(r"\$\{[^}]*\}|\$\([^)]*\)|\{\{[^}]*\}\}|<[^<>]*>|\$\w+|%\w+%|@\w+@")
_WORDS: Final = frozenset(
    {"guest", "root", "admin", "administrator", "user", "username", "scott", "tiger", "hello", "world"}
    | {"postgres", "postgresql", "mysql", "minio", "minioadmin", "rabbitmq", "redis", "mongo", "mongodb"}
    | {"none", "null", "true", "false", "undefined", "required", "optional"}
)
_NO_SECRET: Final = re.compile(
    r"public|(?:page|next|continuation|pagination|update)_?token|last_?used|generation|verifier|cursor|etag"
    r"|checksum|integrity|digest|sha\d"
    r"|(?:names?|types?|kind|class|format|pattern|regex|prefix|suffix|version|policy|scopes?|template|tag|plugin|module"
    r"|url|uri|endpoint|files?|filename|path|dir|store|provider|manager|resource|arn|image|env|var|variable"
    r"|header|field|label|hint|text|title|message|error|help|description|selector|ref|ids?|hash|fingerprint"
    r"|account|user|username|role|group|audience|issuer"
    r"|length|len|size|count|limit|expiry|expires?|expiration|ttl|age|lifetime|at|date|time)$",
    re.IGNORECASE,
)
_IDENTIFIER: Final = re.compile(
    r"[A-Za-z_$][\w$]*(?:(?:\.|::|->|/|-|:)[A-Za-z_$][\w$]*)+|/.*|\.{1,2}/.*|\w+://[^@]*|(?:arn|urn):.*"
)
_NO_LETTER: Final = re.compile(r"\W")
_DIGIT: Final = re.compile("[0-9]")
_UUID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_HARMLESS: Final = re.compile(
    r"(?:true|false|yes|no|on|off|none|null|enabled?|disabled?"
    r"|dev|development|prod|production|stag(?:e|ing)|test|testing|ci|local|debug|info|warn(?:ing)?|error|trace"
    r"|localhost|0\.0\.0\.0|127\.0\.0\.1|utf-?8|utc"
    r"|[+-]?\d{1,6}(?:\.\d{1,6})?(?:ms|s|m|h|d|kb|mb|gb)?"
    r"|\$\{?[A-Za-z_]\w*\}?"
    r"|[a-z]{2,10}://(?:localhost|127\.0\.0\.1|0\.0\.0\.0|\[::1\])(?::\d{1,5})?(?:/[\w./-]{0,80})?)?",
    re.IGNORECASE,
)
_TOKEN: Final = re.compile(r"[^\s,;|\\\[\]{}<>\"'`]{16,512}")


def is_harmless(value: str) -> bool:
    """True for what may stay even in a `.env` file: nothing, a switch, number, level, reference or local address."""
    return _HARMLESS.fullmatch(value.split(" #", 1)[0].strip().strip("\"'")) is not None


def is_reference(value: str) -> bool:
    """True for `${NAME}`, `{{ name }}`, `<name>` and whatever else stands for a value that is elsewhere."""
    return _REFERENCE.fullmatch(value) is not None


def is_placeholder(value: str) -> bool:
    """True for what documentation and tests write in place of a secret, and for references to one."""
    if (
        _NO_LETTER.sub("", value).lower() in _WORDS
        or _FAKE.search(value)
        or _EXPRESSION.search(value)
        or len(set(value)) <= 3
    ):
        return True
    beside = _FILLING.sub("", value)
    return beside != value and sum(map(str.isalnum, beside)) < _ENOUGH


def is_no_example(value: str) -> bool:
    """Whether a key of a known shape is none of those that documentation prints."""
    return not value.endswith("EXAMPLE")


def is_password(value: str) -> bool:
    """Whether what stands between `user:` and `@host` of an address is a real password."""
    value = unquote(value)
    if is_placeholder(value) or value.startswith("["):
        return False
    return len(value) >= 8 or (len(value) >= 6 and not value.isalpha())


def is_token(value: str) -> bool:
    """Whether a value without a telling shape looks drawn at random: long, with digits, ever changing."""
    if not _TOKEN.fullmatch(value) or is_placeholder(value) or _UUID.fullmatch(value):
        return False
    return sum(map(str.isdigit, value)) >= 2 and _restlessness(value) >= 0.2 and _entropy(value) >= 3.2


def is_aws_secret(value: str) -> bool:
    """Whether 40 characters after a word such as `access` are drawn at random rather than a long name."""
    return _restlessness(value) >= 0.25 and "EXAMPLE" not in value


def is_basic_auth(value: str) -> bool:
    """Whether Base64 hides `user:password`."""
    try:
        user, colon, password = base64.b64decode(value, validate=True).decode("ascii").partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return False
    return bool(user and colon) and password.isprintable() and not is_placeholder(password) and len(password) >= 6


def is_encoded_private_key(value: str) -> bool:
    """Whether Base64 hides the first line of a private key rather than that of a certificate."""
    return b"PRIVATE KEY-----" in base64.b64decode(value[:72])  # 54 bytes; the longest such line has 37


def has_digit(value: str) -> bool:
    """Every assigned secret has one."""
    return _DIGIT.search(value) is not None


def is_assigned_secret(key: str, value: str) -> bool:
    """Whether `key = value` sets a secret: the key is no `token_url`, the value no name, path, hash or placeholder."""
    if "::" in key or _NO_SECRET.search(key) or _IDENTIFIER.fullmatch(value) or " " in value:
        return False
    if is_token(value):
        return True
    return "pass" in key.lower() and not is_placeholder(value) and _is_chosen_password(value)


def _is_chosen_password(value: str) -> bool:
    kinds = {_kind(character) for character in value}
    return 8 <= len(value) <= 64 and len(kinds) >= 3 and "digit" in kinds and _restlessness(value) >= 0.25


def _kind(character: str) -> str:
    if character.isdigit():
        return "digit"
    if character.isalpha():
        return "upper" if character.isupper() else "lower"
    return "symbol"


def _restlessness(value: str) -> float:
    """Share of neighbours of different kinds, about 0.5 in random text; a capital that begins a word counts once."""
    pairs = pairwise(value)
    changes = sum(a != b and (a, b) != ("upper", "lower") for a, b in ((_kind(x), _kind(y)) for x, y in pairs))
    return changes / (len(value) - 1) if len(value) > 1 else 0.0


def _entropy(value: str) -> float:
    """Bits per character."""
    return -sum(n / len(value) * math.log2(n / len(value)) for n in Counter(value).values())
