"""How the masking rules are loaded: when, from where, and how often."""

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest

from muniment.masking import catalogue, keep_compiled, load_rules, mask


@pytest.fixture(autouse=True)
def _not_loaded(monkeypatch):
    """Neither before a test nor, by what it put in their place, behind it."""
    monkeypatch.setattr(catalogue, "_compiled", [])
    catalogue._loaded.cache_clear()
    yield
    catalogue._loaded.cache_clear()


def test_the_compiled_rules_are_kept_in_the_folder_that_they_are_loaded_from(tmp_path):
    load_rules(tmp_path / "cache" / "rules")
    kept = [path for path in (tmp_path / "cache").rglob("*") if path.is_file() and path.name != "lock"]
    assert kept


def test_the_rules_are_loaded_once_for_all_the_texts_that_come_first_together(monkeypatch):
    built, together, second_inside = [], threading.Barrier(4), threading.Barrier(2)

    def build(_folder):
        built.append(object())
        with suppress(threading.BrokenBarrierError):
            second_inside.wait(0.3)
        return built[-1]

    def ask(_):
        together.wait(5)
        return catalogue.scanner()

    monkeypatch.setattr(catalogue, "_scanner", build)
    with ThreadPoolExecutor(4) as pool:
        given = list(pool.map(ask, range(4)))
    assert len(built) == 1
    assert given == built * 4


def test_the_first_text_loads_the_rules_from_the_folder_that_was_named(tmp_path):
    keep_compiled(tmp_path / "rules")
    before = list(tmp_path.iterdir())
    mask("a.py", "x = 1")
    kept = [path.name for path in (tmp_path / "rules").iterdir() if path.name != "lock"]
    assert (before, bool(kept)) == ([], True)
