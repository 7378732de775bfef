"""The masking rules for data folders of tests: each would compile them anew, for three seconds of a processor."""

import fcntl
import shutil
import subprocess
import sys
from pathlib import Path

from muniment.datafolder import DataFolder

shared: Path | None = None  # a folder of all the processes of a run; tests/conftest.py names it


def give_rules(folder: DataFolder) -> None:
    """As a start before would have left them."""
    assert shared is not None
    if folder.rule_cache.exists():  # a process may be reading there
        return
    rules = shared / "rules"
    with (shared / "rules.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not rules.exists():
            made = shared / "rules-in-the-making"
            subprocess.run([sys.executable, "-m", "muniment.masking", str(made)], check=True, timeout=120)
            made.rename(rules)
    shutil.copytree(rules, folder.rule_cache)
