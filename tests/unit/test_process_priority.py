"""Who gets the processor first, where the kernel shares it among sessions."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from muniment.process import AUTOGROUP_SECONDS, AUTOGROUP_TRIES, lower_session

AUTOGROUP = Path("/proc/self/autogroup")
TELLS = """
import json
from muniment.process import AUTOGROUP, lower_session
before = AUTOGROUP.read_text()
lower_session(7)
print(json.dumps([before, AUTOGROUP.read_text()]))
"""


def told(*, own_session: bool) -> tuple[str, str]:
    done = subprocess.run(
        [sys.executable, "-c", TELLS], capture_output=True, text=True, check=True, start_new_session=own_session
    )
    before, after = json.loads(done.stdout)
    return before.strip(), after.strip()  # nothing at all in the session that the system itself starts in


@pytest.mark.skipif(not AUTOGROUP.exists(), reason="this kernel does not share the processor among sessions")
def test_who_leads_a_session_lowers_all_of_it() -> None:
    before, after = told(own_session=True)
    assert before.endswith("nice 0")
    assert after == before.replace("nice 0", "nice 7")


@pytest.mark.skipif(not AUTOGROUP.exists(), reason="this kernel does not share the processor among sessions")
def test_who_was_started_in_the_session_of_another_leaves_it_as_it_is() -> None:
    before, after = told(own_session=False)
    assert after == before


def test_a_kernel_without_such_groups_changes_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("muniment.process.AUTOGROUP", tmp_path / "nothing" / "autogroup")
    monkeypatch.setattr("os.getsid", lambda _pid: 1)
    monkeypatch.setattr("os.getpid", lambda: 1)
    lower_session(7)
    assert not (tmp_path / "nothing").exists()


class Busy:
    """A kernel that lets one process of the machine at a time change its group: ``free_after`` refusals."""

    def __init__(self, free_after: int) -> None:
        self.tries: list[str] = []
        self._free_after = free_after

    def write_text(self, text: str) -> None:
        self.tries.append(text)
        if len(self.tries) <= self._free_after:
            raise BlockingIOError


@pytest.mark.parametrize(
    ("free_after", "pauses"), [(0, 0), (2, 2), (AUTOGROUP_TRIES - 1, AUTOGROUP_TRIES - 1), (99, AUTOGROUP_TRIES)]
)
def test_who_comes_while_another_changes_its_group_tries_again_for_a_while(
    monkeypatch: pytest.MonkeyPatch, free_after: int, pauses: int
) -> None:
    kernel, paused = Busy(free_after), list[float]()
    monkeypatch.setattr("muniment.process.AUTOGROUP", kernel)
    monkeypatch.setattr("muniment.process.time.sleep", paused.append)
    monkeypatch.setattr("os.getsid", lambda _pid: 1)
    monkeypatch.setattr("os.getpid", lambda: 1)
    lower_session(7)
    assert kernel.tries == ["7"] * min(free_after + 1, AUTOGROUP_TRIES)
    assert paused == [AUTOGROUP_SECONDS] * pauses
