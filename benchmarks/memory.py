"""Measures how well questions find memories, with the product's own store and model in this process.

    python benchmarks/memory.py [QUESTIONS.json] [--split tune|test|both] [--worse]

QUESTIONS.json (default: memory_questions.json beside this) is {memories: [{id, content, tags, source}], questions:
[{kind, split, text, answers: [id]}]}. *dense* is the order of the cosines alone, *fused* the product's, *lexical*
BM25 over words. Prints recall@1, recall@3 and MRR by kind of question, and how many paraphrased questions the words
pushed down or lifted; ``--worse`` names those pushed down.
"""

import argparse
import json
import tempfile
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from statistics import fmean
from typing import Any

from stack import print_table

from muniment.embedding.minilm import MiniLmEmbedder
from muniment.memory import MemoryStore
from muniment.project import Project
from muniment.sqlite import connect

ALL = 100  # of an answer: more than the place of any right one matters
KINDS = ("paraphrase", "identifier", "mixed")
NOW = datetime(2026, 1, 1, tzinfo=UTC)
PROJECT = Project(id="bench-222222", name="bench", watch_paths=[], created_at=NOW, updated_at=NOW)
Ask = Callable[[str], list[str]]


class Memories:
    """The memories of the set in a store of their own; each way to order them gives the ids of the set."""

    def __init__(self, folder: Path, memories: Sequence[dict[str, Any]]) -> None:
        self._store = MemoryStore(folder / "memories.sqlite", MiniLmEmbedder(), lambda: NOW)
        self._database = connect(folder / "memories.sqlite")
        self._given: dict[str, str] = {}
        for memory in memories:
            stored = self._store.store(PROJECT, memory["content"], memory["tags"], memory["source"])
            assert stored.created, f"{memory['id']} counts as a duplicate"
            self._given[stored.id] = memory["id"]

    def fused(self, question: str) -> list[str]:
        return [self._given[hit.id] for hit in self._store.search(PROJECT.id, question, limit=ALL)]

    def dense(self, question: str) -> list[str]:
        hits = self._store.search(PROJECT.id, question, limit=ALL)
        return [self._given[hit.id] for hit in sorted(hits, key=lambda hit: -hit.score)]

    def lexical(self, question: str) -> list[str]:
        words = "".join(character if character.isalnum() else " " for character in question).split()
        rows = self._database.execute(
            "SELECT id FROM words JOIN memories ON memories.number = words.rowid WHERE words MATCH ? ORDER BY rank",
            (" OR ".join(f'"{word}"' for word in words),),
        )
        return [self._given[row["id"]] for row in rows]


def place(found: Sequence[str], answers: Sequence[str]) -> float:
    """Of the first right one, from 1; infinite when there is none."""
    return next((float(rank) for rank, one in enumerate(found, start=1) if one in answers), float("inf"))


def row(name: str, places: Sequence[float]) -> list[str]:
    shares = [fmean(place <= most for place in places) for most in (1, 3)]
    return [name, str(len(places)), *(f"{share:.3f}" for share in shares), f"{fmean(1 / one for one in places):.3f}"]


def measure(memories: Memories, questions: Sequence[dict[str, Any]], *, show_worse: bool) -> None:
    ways: dict[str, Ask] = {"dense": memories.dense, "fused": memories.fused, "lexical": memories.lexical}
    places = {way: [place(ask(one["text"]), one["answers"]) for one in questions] for way, ask in ways.items()}
    rows = []
    for kind in (*KINDS, "all"):
        chosen = [number for number, one in enumerate(questions) if kind in (one["kind"], "all")]
        rows += [row(f"{kind}, {way}", [found[number] for number in chosen]) for way, found in places.items()]
    print_table(["questions, order", "number", "recall@1", "recall@3", "MRR"], rows)
    pairs = list(zip(questions, places["dense"], places["fused"], strict=True))
    paraphrased = [(one, dense, fused) for one, dense, fused in pairs if one["kind"] == "paraphrase"]
    worse = [(one, dense, fused) for one, dense, fused in paraphrased if fused > dense]
    better = sum(fused < dense for _, dense, fused in paraphrased)
    print(f"paraphrases: {better} lifted by words, {len(worse)} pushed down")
    for one, dense, fused in worse if show_worse else ():
        print(f"  {dense:.0f} -> {fused:.0f}: {one['text']}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    beside = Path(__file__).with_name("memory_questions.json")
    parser.add_argument("questions", type=Path, nargs="?", default=beside)
    parser.add_argument("--split", choices=("tune", "test", "both"), default="both")
    parser.add_argument("--worse", action="store_true")
    given = parser.parse_args()
    loaded = json.loads(given.questions.read_text())
    with tempfile.TemporaryDirectory(prefix="muniment-bench-") as folder:
        memories = Memories(Path(folder), loaded["memories"])
        for split in ("tune", "test") if given.split == "both" else (given.split,):
            print(f"**{split}**, {len(loaded['memories'])} memories\n")
            wanted = [one for one in loaded["questions"] if one["split"] == split]
            measure(memories, wanted, show_worse=given.worse)
            print()


if __name__ == "__main__":
    main()
