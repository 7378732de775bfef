"""The peer to compare with: semble from PyPI, in an environment of its own, on the same tree and static model."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from processes import ProcessSampler
from stack import allocated

from muniment import settings
from muniment.embedding.static import BUNDLED

REQUIREMENT = "semble==0.7.*"
DRIVER = Path(__file__).with_name("semble_driver.py")
RANKING_DRIVER = Path(__file__).with_name("semble_ranking.py")


@dataclass(frozen=True)
class PeerFigures:
    """Seconds and bytes. ``save``: to its cache; ``again``: built from there, nothing changed.

    ``rss``: peak of its main process while it builds; ``together``: peak sum of PSS with its helpers.
    """

    version: str
    seconds: float
    cpu: float
    files: int
    chunks: int
    latencies: list[float]
    save: float
    again: float
    rss: int
    together: int
    on_disk: int


def prepare(venv: Path) -> Path:
    """The interpreter of a virtual environment that holds the peer, made unless it is there already."""
    python = venv / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(venv)], check=True)
    install = [str(python), "-m", "pip", "install", "--quiet", REQUIREMENT]
    subprocess.run(install, check=True, env=_environment())
    return python


def run(python: Path, tree: Path, questions: Sequence[str], searches: int, scratch: Path) -> PeerFigures:
    """Its index over code, documentation and configuration, with a helper process for each core."""
    cache = scratch / "peer-cache"
    cache.mkdir()
    command = [str(python), str(DRIVER), str(tree), _model(), str(searches), *questions]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=_environment(cache)) as process:
        root = psutil.Process(process.pid)
        with ProcessSampler(root, lambda each: "main" if each == root else "helpers") as sampler:
            built = _next_line(process)
        asked = _next_line(process)
    return PeerFigures(
        **built, **asked, rss=sampler.roles["main"].rss, together=sampler.all_together, on_disk=allocated(cache)
    )


@dataclass(frozen=True)
class PeerRanking:
    """For each question the distinct files, best first, and its seconds."""

    version: str
    ranked: list[list[str]]
    seconds: list[float]


def rank(python: Path, tree: Path, questions: Sequence[str], top: int, scratch: Path) -> PeerRanking:
    """Over code alone, as it does by default; nothing is read from an earlier cache."""
    with tempfile.TemporaryDirectory(dir=scratch, prefix="peer-cache-") as cache:
        command = [str(python), str(RANKING_DRIVER), str(tree), _model(), str(top)]
        asked = json.dumps(list(questions))
        told = subprocess.run(
            command, input=asked, stdout=subprocess.PIPE, text=True, check=True, env=_environment(Path(cache))
        )
    return PeerRanking(**json.loads(told.stdout))


def _model() -> str:
    return str(settings.load().static_model or BUNDLED)


def _next_line(process: subprocess.Popen[str]) -> dict[str, Any]:
    line = process.stdout.readline() if process.stdout is not None else ""
    if not line:
        raise RuntimeError(f"{REQUIREMENT} ended with status {process.wait()}")
    figures: dict[str, Any] = json.loads(line)
    return figures


def _environment(cache: Path | None = None) -> dict[str, str]:
    clean = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME")}
    if cache is not None:
        clean |= {
            "SEMBLE_INDEX_WORKERS": str(os.cpu_count() or 1),
            "SEMBLE_CACHE_LOCATION": str(cache),
            "HF_HUB_OFFLINE": "1",  # its model is a folder: nothing is to be fetched
        }
    return clean
