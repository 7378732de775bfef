"""For every test: no settings from the environment, and waiting that is bounded."""

import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest

from muniment import settings

# modules that unit and integration tests share: pytest's importlib mode puts nothing on the path
sys.path.insert(0, str(Path(__file__).parent))
T = TypeVar("T")


@pytest.fixture(scope="session", autouse=True)
def shared_rules(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Compiled once for all of xdist's processes, whose folders lie side by side."""
    import compiled_rules

    own = tmp_path_factory.getbasetemp()
    compiled_rules.shared = own.parent if "PYTEST_XDIST_WORKER" in os.environ else own


@pytest.fixture(autouse=True)
def clean_settings(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The developer's own MUNIMENT_* variables must not reach a test, nor one test's settings the next."""
    for name in [name for name in os.environ if name.startswith("MUNIMENT_")]:
        monkeypatch.delenv(name)
    settings.load.cache_clear()
    yield
    settings.load.cache_clear()


@pytest.fixture
def until() -> Callable[..., object]:
    """``until(condition, seconds=10)`` returns the condition's first true value, or fails the test."""

    def wait(condition: Callable[[], T], seconds: float = 10.0) -> T:
        began = time.monotonic()
        while not (value := condition()):
            waited = time.monotonic() - began
            if waited > seconds:
                pytest.fail(f"not within {seconds} s: {getattr(condition, '__doc__', None) or condition}")
            time.sleep(0.01 if waited < 1 else 0.03)  # what is asked for takes the processor from what it asks
        return value

    return wait
