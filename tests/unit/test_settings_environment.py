"""Variables that are set but empty, as compose files hand them on, are no settings."""

from pathlib import Path

import pytest

from muniment.errors import InvalidValue
from muniment.settings import Settings, read


@pytest.mark.parametrize("name", sorted(Settings.model_fields))
def test_an_empty_variable_is_an_unset_one(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.delenv(f"MUNIMENT_{name.upper()}", raising=False)
    unset = getattr(read(), name)
    monkeypatch.setenv(f"MUNIMENT_{name.upper()}", "")
    assert getattr(read(), name) == unset


def test_an_empty_token_leaves_the_token_file_in_charge(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MUNIMENT_TOKEN", "")
    monkeypatch.setenv("MUNIMENT_TOKEN_FILE", str(tmp_path / "token"))
    settings = read()
    assert settings.token is None
    assert settings.token_file == tmp_path / "token"


def test_a_short_token_is_refused_and_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MUNIMENT_TOKEN", "hunter2")
    with pytest.raises(InvalidValue, match="MUNIMENT_TOKEN") as refused:
        read()
    assert "hunter2" not in str(refused.value)
