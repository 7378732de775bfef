"""The whole tree of errors: each can be raised, says what was wrong and what to do, and is told apart by its code."""

import inspect
import re
import string
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

import muniment_api.app
import muniment_worker.supervisor
from muniment import cli, errors
from muniment.errors import ErrorBody, InternalError, MunimentError

WHERE_ALL_ARE_IMPORTED = (cli, muniment_api.app, muniment_worker.supervisor)
# They carry another's error, or never leave their process.
ELSEWHERE = {
    "muniment.cli.client.Refused",
    "muniment_worker.control.Stopped",
    "muniment_worker.control.Interrupted",
}
BY_TYPE: dict[str, Any] = {"int": 7, "float": 2.5, "object": "a value", "Iterable[str]": ["beta", "alpha"]}


def below(kind: type[MunimentError]) -> Iterator[type[MunimentError]]:
    for child in kind.__subclasses__():
        yield child
        yield from below(child)


TREE = sorted(
    {kind for kind in below(MunimentError) if kind.__module__.startswith(f"{errors.__name__}.")},
    key=lambda one: one.code,
)
each = pytest.mark.parametrize("kind", TREE, ids=lambda kind: kind.code)


def made(kind: type[MunimentError]) -> MunimentError:
    """An instance whose text arguments are their own names."""
    arguments: dict[str, Any] = {}
    for name, parameter in inspect.signature(kind).parameters.items():
        if parameter.kind is not inspect.Parameter.VAR_KEYWORD:
            wanted = getattr(parameter.annotation, "__name__", str(parameter.annotation))
            arguments[name] = BY_TYPE.get(
                str(parameter.annotation).rpartition(".")[2], BY_TYPE.get(wanted, f"<{name}>")
            )
    return kind(**arguments)


def test_no_two_errors_share_a_code() -> None:
    assert [code for code, times in Counter(kind.code for kind in TREE).items() if times > 1] == []
    assert len(TREE) > 30


def test_errors_are_defined_in_one_place() -> None:
    found = {f"{kind.__module__}.{kind.__qualname__}" for kind in below(MunimentError)}
    assert {name for name in found if not name.startswith(f"{errors.__name__}.")} <= ELSEWHERE


@each
def test_an_error_says_what_was_wrong_and_what_to_do(kind: type[MunimentError]) -> None:
    assert re.fullmatch(r"[a-z]+(_[a-z]+)*", kind.code)
    assert 400 <= kind.http_status < 600
    error = made(kind)
    for sentence in (error.text, error.remedy_text):
        assert sentence.endswith(".")
        assert len(sentence) > 8
        assert not re.search(r"[{}]|\bNone\b", sentence)
    assert str(error) == f"{error.text} {error.remedy_text}"
    body = ErrorBody(code=kind.code, message=error.text, remedy=error.remedy_text, retryable=kind.retryable)
    assert error.body() == body


@each
def test_every_value_that_an_error_is_given_is_shown(kind: type[MunimentError]) -> None:
    error = made(kind)
    parts = string.Formatter().parse(kind.message + kind.remedy)
    assert {name for _, name, _, _ in parts if name} == set(error.values)


@each
def test_an_error_has_words_of_its_own(kind: type[MunimentError]) -> None:
    own = {"message", "remedy"} & set(vars(kind))
    assert own == ({"message", "remedy"} if kind is not InternalError else set())


@each
def test_only_what_may_pass_is_called_retryable(kind: type[MunimentError]) -> None:
    wrong_request = kind.http_status in {400, 401, 403, 404, 405, 413, 422}
    assert not (kind.retryable and wrong_request)


def test_names_of_unknown_things_are_listed_in_order() -> None:
    assert errors.UnknownProject("alpa", ["beta", "alpha"]).text == "No project named 'alpa'. Known: alpha, beta."
    assert errors.UnknownProject("alpa", []).text.endswith("Known: none yet.")


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://:hunter2@redis:6379/0", "redis://***@redis:6379/0"),
        ("rediss://user:hunter2@redis/0", "rediss://***@redis/0"),
        ("redis://:hun/ter2@redis:6379", "redis://***@redis:6379"),  # not encoded, and no URL for that reason
        ("redis://redis/0?username=me&password=hunter2&db=1", "redis://redis/0?username=me&password=***&db=1"),
        ("unix:///run/valkey.sock?db=0", "unix:///run/valkey.sock?db=0"),
        ("http://chroma:8000", "http://chroma:8000"),
    ],
)
def test_an_address_is_shown_without_its_password(url: str, shown: str) -> None:
    detail = "refused"
    told = (
        errors.RedisUnavailable(url, detail),
        errors.ChromaUnavailable(url, detail),
        errors.EmbedderUnavailable(url, detail),
        errors.EmbedderRefused(url, "model", detail),
        errors.ServerUnavailable(url),
        errors.UnexpectedAnswer(url, detail),
        errors.InvalidValue("MUNIMENT_REDIS_URL", url, "it is no URL"),
    )
    for error in told:
        assert shown in str(error)
        assert "ter2" not in f"{error} {error.values} {error.args}"
