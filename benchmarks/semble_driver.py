"""Runs in the peer's own environment: `python semble_driver.py TREE MODEL SEARCHES QUESTION...`

Prints a line of JSON when the index is built, and another at the end. The settings come by SEMBLE_* variables.
"""

import json
import resource
import sys
import time
from importlib.metadata import version
from itertools import cycle, islice
from typing import Any

from semble import SembleIndex
from semble.cache import save_index_to_cache
from semble.types import ContentType


def tell(**figures: Any) -> None:
    print(json.dumps(figures), flush=True)


def build(tree: str, model: str) -> tuple[SembleIndex, float]:
    began = time.perf_counter()
    index = SembleIndex.from_path(tree, content=list(ContentType), model_path=model)
    return index, time.perf_counter() - began


def latencies(index: SembleIndex, questions: list[str], count: int) -> list[float]:
    for question in questions:
        index.search(question)
    seconds = []
    for question in islice(cycle(questions), count):
        asked = time.perf_counter()
        index.search(question)
        seconds.append(time.perf_counter() - asked)
    return seconds


def main() -> None:
    tree, model, searches, *questions = sys.argv[1:]
    index, seconds = build(tree, model)
    used = resource.getrusage(resource.RUSAGE_SELF)
    helpers = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = sum(usage.ru_utime + usage.ru_stime for usage in (used, helpers))
    stats = index.stats
    tell(version=version("semble"), seconds=seconds, cpu=cpu, files=stats.indexed_files, chunks=stats.total_chunks)
    asked = latencies(index, questions, int(searches))
    began = time.perf_counter()
    save_index_to_cache(index, tree)
    saved = time.perf_counter() - began
    del index
    _, again = build(tree, model)
    tell(latencies=asked, save=saved, again=again)


if __name__ == "__main__":
    main()
