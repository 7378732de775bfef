"""The operator's guide quotes errors as they are, and knows every variable of the compose file."""

import re
from pathlib import Path

import pytest

from muniment import errors

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "docs" / "operation.md").read_text()
QUOTED = re.findall(r"^\| `(\w+)` \"(.+?)\" \|", GUIDE, re.MULTILINE)
MESSAGES = {
    known.code: known.message
    for known in vars(errors).values()
    if isinstance(known, type) and issubclass(known, errors.MunimentError)
}


def pattern(template: str) -> str:
    """A template of errors.py as a regular expression: each field stands for any text."""
    return ".+".join(re.escape(part) for part in re.split(r"\{[^}]*\}", template))


def test_errors_are_quoted_at_all() -> None:
    assert len(QUOTED) > 10


@pytest.mark.parametrize(("code", "text"), QUOTED)
def test_an_error_is_quoted_as_it_is_written(code: str, text: str) -> None:
    assert re.fullmatch(pattern(MESSAGES[code]), text.replace("\\", ""))


def test_every_variable_of_the_compose_file_is_explained() -> None:
    compose = (ROOT / "docker-compose.yml").read_text()
    variables = set(re.findall(r"\$\{(\w+)", compose)) | set(re.findall(r"^ +(MUNIMENT_\w+):$", compose, re.MULTILINE))
    explained = set(re.findall(r"^\| `(MUNIMENT_\w+)` \|", GUIDE, re.MULTILINE))
    assert explained == variables
