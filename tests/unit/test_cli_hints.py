"""The command lines that the product tells a person to type."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from muniment.cli.hints import again, command
from muniment.settings import Settings, default_data_dir


@pytest.fixture
def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The `muniment` of an environment in the current folder, which the PATH does not name."""
    script = tmp_path / ".venv" / "bin" / "muniment"
    script.parent.mkdir(parents=True)
    script.write_text("#!/bin/sh\n")
    script.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(script.with_name("python")))
    monkeypatch.setattr(sys, "argv", ["/somewhere/muniment/cli/__main__.py"])
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    monkeypatch.setenv("PATH", os.defpath)
    monkeypatch.chdir(tmp_path)
    return script


@pytest.fixture
def settings() -> Settings:
    return Settings(data_dir=default_data_dir())


@pytest.mark.usefixtures("script")
def test_below_the_current_folder_the_script_is_named_from_there(settings: Settings):
    assert command(settings, "search", "tree", "your question") == ".venv/bin/muniment search tree 'your question'"


def test_elsewhere_the_script_is_named_in_full_and_in_its_own_folder_as_a_path(
    script: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
):
    elsewhere = script.parent.with_name("lib")
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    assert command(settings, "down") == f"{script} down"
    monkeypatch.chdir(script.parent)
    assert command(settings, "down") == "./muniment down"


@pytest.mark.parametrize("link", [False, True])
def test_a_script_that_the_path_leads_to_needs_no_folder(
    script: Path, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, link: bool
):
    """``link``: as pipx installs it."""
    folder = script.parent
    if link:
        folder = tmp_path / "bin"
        folder.mkdir()
        (folder / "muniment").symlink_to(script)
    monkeypatch.setenv("PATH", str(folder))
    assert command(settings, "down") == "muniment down"


@pytest.mark.usefixtures("script")
def test_another_muniment_on_the_path_is_not_this_one(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    other = tmp_path / "other" / "muniment"
    other.parent.mkdir()
    other.write_text("#!/bin/sh\n")
    other.chmod(0o755)
    monkeypatch.setenv("PATH", str(other.parent))
    assert command(settings, "down") == ".venv/bin/muniment down"


def test_the_script_that_was_called_counts_wherever_its_interpreter_lies(
    script: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(sys, "executable", "/usr/bin/python3")
    monkeypatch.setattr(sys, "argv", [str(script), "quickstart"])
    assert command(settings, "down") == ".venv/bin/muniment down"


def test_without_a_script_the_module_is_run(script: Path, settings: Settings):
    script.unlink()
    assert command(settings, "down") == ".venv/bin/python -m muniment.cli down"


@pytest.mark.usefixtures("script")
def test_a_data_folder_of_one_s_own_is_named(tmp_path: Path):
    assert command(Settings(data_dir=tmp_path / ".muniment"), "up") == ".venv/bin/muniment up -d .muniment"
    assert command(Settings(data_dir=Path("/srv/a b")), "up") == ".venv/bin/muniment up -d '/srv/a b'"


def test_what_is_told_can_be_typed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setattr(sys, "argv", ["/somewhere/muniment/cli/__main__.py"])
    told = command(Settings(data_dir=tmp_path / "none"), "down")
    ran = subprocess.run(told, shell=True, capture_output=True, text=True, timeout=60, check=False)

    assert (ran.returncode, ran.stdout) == (1, "")
    assert ran.stderr.startswith(f"error: No Muniment runs on {tmp_path / 'none'}.")


@pytest.mark.usefixtures("script")
def test_another_call_reaches_the_gateway_of_this_one():
    words = ["jobs", "watch", "j1"]
    assert again(words, None, None) == ".venv/bin/muniment jobs watch j1"
    assert again(words, Path("my data"), None) == ".venv/bin/muniment jobs watch j1 -d 'my data'"
    assert again(words, None, "http://team:7420") == ".venv/bin/muniment jobs watch j1 --url http://team:7420"
