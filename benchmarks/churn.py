"""What an index becomes under churn: sizes of its stores, Chroma's memory, and recall, before and after many rewrites.

python benchmarks/churn.py TREE [--cycles 20] [--share 0.2] [--against 2.0]

Works on a copy of the tree, with a Chroma server and an index of its own; no Redis. Each cycle rewrites a share of the
files and reconciles. Ends with status 1 when a store has grown by more than what is allowed.
"""

import argparse
import random
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import psutil
from changes import COMMENT, MAX_BYTES, SEED, copy_of
from numpy.typing import NDArray
from stack import allocated, machine_line, megabytes, print_table

from muniment.datafolder import ProjectFolder
from muniment.dirty import DirtyPaths
from muniment.embedding.static import StaticEmbedder
from muniment.indexing import Limits, PassTools, Step, open_index, run_pass
from muniment.jobs import Job, JobKind, JobStatus, Progress
from muniment.manifest import ManifestReader
from muniment.parsing import default_helpers
from muniment.process import spawn, stop_child
from muniment.project import Project
from muniment.queue import utc_now
from muniment.scanning import FoundFile, Scanner
from muniment.search import SLOTS_ASKED
from muniment.sqlite import connect
from muniment.stack.children import chroma_child
from muniment.vectors import VectorStore

PROJECT_ID = "churn-abc234"
LINES = 20  # between two changed lines: every chunk of a rewritten file is another
PAGE = 2000
SAMPLE = 200
NEAREST = 10
ALIKE = 1e-5  # of two texts with one vector either may be the tenth
RSS_ALLOWED = 1.5
RECALL_ALLOWED = 0.95


class Quiet:
    """The control of a pass that nobody follows."""

    def check(self) -> None: ...

    def pause(self, seconds: float) -> None:
        time.sleep(seconds)

    def report(self, progress: Progress) -> None: ...

    def reached(self, step: Step) -> None: ...


class Unwatched:
    """The dirty paths of a project without watcher."""

    def peek(self, project_id: str, limit: int) -> dict[str, int]:  # noqa: ARG002
        return {}

    def remove(self, project_id: str, done: Mapping[str, int]) -> None: ...


@dataclass(frozen=True)
class Chroma:
    store: VectorStore
    folder: Path
    process: psutil.Process


@contextmanager
def running_chroma(folder: Path) -> Iterator[Chroma]:
    folder.mkdir(parents=True)
    spec, url = chroma_child(folder / "chroma")
    with (folder / "chroma.log").open("wb") as log:
        process = spawn(spec.argv, env=spec.env, output=log)
    try:
        assert spec.ready is not None
        while not spec.ready():
            if process.poll() is not None:
                raise RuntimeError((folder / "chroma.log").read_text())
            time.sleep(0.05)
        yield Chroma(VectorStore(url), folder / "chroma", psutil.Process(process.pid))
    finally:
        stop_child(process, grace=5.0)


class Rewriter:
    """Gives files another text of about the same length, made from the one that they had at first."""

    def __init__(self, tree: Path) -> None:
        self._random = random.Random(SEED)
        found = Scanner([str(tree)], [], [], max_file_bytes=MAX_BYTES).walk()
        files = [Path(item.absolute) for item in found if isinstance(item, FoundFile) and item.size]
        self.files = sorted(file for file in files if file.suffix.lower().removeprefix(".") in COMMENT)
        self._first = {file: file.read_text(encoding="utf-8", errors="replace").splitlines() for file in self.files}

    def rewrite(self, share: float) -> int:
        picked = self._random.sample(self.files, int(len(self.files) * share))
        for file in picked:
            mark = COMMENT[file.suffix.lower().removeprefix(".")]
            lines = []
            for number, line in enumerate(self._first[file]):
                if number % LINES == 0:
                    lines.append(mark + " ".join(self._random.choices(WORDS, k=6)))
                lines.append(line)
            file.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return len(picked)


WORDS = [f"{one}{two}" for one in ("merge", "split", "load", "keep", "drop", "sort") for two in range(500)]


@dataclass(frozen=True)
class Figures:
    manifest: int
    lexical: int
    segments: int
    chroma: int
    rss: int
    vectors: int
    chunks: int
    recall: float
    recall_as_asked: float


def measure(folder: ProjectFolder, chroma: Chroma, embedder: StaticEmbedder) -> Figures:
    collection = f"{PROJECT_ID}-{embedder.name}"
    manifest = ManifestReader.open(folder.manifest)
    assert manifest is not None
    with closing(manifest):
        counters = manifest.counters()
    recall, recall_as_asked = recalls_of(folder, chroma.store, collection)
    return Figures(
        manifest=allocated(*folder.path.glob(f"{folder.manifest.name}*")),
        lexical=allocated(folder.lexical),
        segments=len({path.name.split(".")[0] for path in folder.lexical.glob("*.store")}),
        chroma=allocated(chroma.folder),
        rss=chroma.process.memory_info().rss,
        vectors=chroma.store.count(collection),
        chunks=counters.chunks,
        recall=recall,
        recall_as_asked=recall_as_asked,
    )


def recalls_of(folder: ProjectFolder, store: VectorStore, collection: str) -> tuple[float, float]:
    """Of the ten nearest to a text by exact cosine, how many Chroma gives: of all that it holds when asked for ten, and
    of the texts that are in use when asked as searches do. Freed texts that are held still take places.
    """
    with closing(connect(folder.manifest)) as db:
        used = {row[0] for row in db.execute("SELECT id FROM slots WHERE embedded = 1 AND refs > 0")}
    slots, vectors = held_vectors(store, collection)
    in_use = np.array([slot in used for slot in slots])
    row_of = {slot: row for row, slot in enumerate(slots)}
    found = found_as_asked = 0
    picked = random.Random(SEED).sample([row for row in range(len(slots)) if in_use[row]], min(SAMPLE, len(used)))
    for row in picked:
        exact = vectors @ vectors[row]
        hits = [row_of[hit.slot] for hit in store.query(collection, vectors[row], NEAREST)]
        found += sum(exact[hit] >= tenth(exact) for hit in hits)
        asked = [row_of[hit.slot] for hit in store.query(collection, vectors[row], SLOTS_ASKED)]
        living = [hit for hit in asked if in_use[hit]][:NEAREST]
        found_as_asked += sum(exact[hit] >= tenth(exact[in_use]) for hit in living)
    return found / (NEAREST * len(picked)), found_as_asked / (NEAREST * len(picked))


def tenth(similarities: NDArray[np.float32]) -> float:
    return float(np.partition(similarities, -NEAREST)[-NEAREST]) - ALIKE


def held_vectors(store: VectorStore, collection: str) -> tuple[list[int], NDArray[np.float32]]:
    slots = sorted(store.slots(collection))
    parts = []
    for at in range(0, len(slots), PAGE):
        ids = [str(slot) for slot in slots[at : at + PAGE]]
        found = store._collection(collection).get(ids, include=["embeddings"])  # nothing but this asks for vectors
        vector_of = dict(zip(found["ids"], found["embeddings"], strict=True))
        parts.append(np.array([vector_of[each] for each in ids], dtype=np.float32))
    vectors = np.concatenate(parts)
    return slots, vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)


def reconcile(project: Project, folder: ProjectFolder, tools: PassTools, number: int) -> float:
    job = Job(
        id=f"job-{number}", project=project.name, project_id=project.id, kind=JobKind.RECONCILE,
        status=JobStatus.RUNNING, created_at=utc_now(),
    )  # fmt: skip
    began = time.monotonic()
    folder.path.mkdir(parents=True, exist_ok=True)
    with open_index(folder, project.id) as index:
        run_pass(project, job, index, tools, Quiet())
    return time.monotonic() - began


def churn(tree: Path, into: Path, cycles: int, share: float) -> list[Figures]:
    """The figures after the first pass, after the last one, and of a fresh index of the same files."""
    rewriter, embedder, figures = Rewriter(tree), StaticEmbedder(), []
    project = Project(
        id=PROJECT_ID, name="churn", watch_paths=[str(tree)], created_at=utc_now(), updated_at=utc_now()
    )  # fmt: skip
    for part in ("churned", "fresh"):
        folder = ProjectFolder(into / part / "index")
        with running_chroma(into / part) as chroma:
            tools = PassTools(
                cast(DirtyPaths, Unwatched()), chroma.store, embedder, Limits(), default_helpers(), utc_now
            )
            for cycle in range(cycles + 1 if part == "churned" else 1):
                written = rewriter.rewrite(share) if cycle else len(rewriter.files)
                seconds = reconcile(project, folder, tools, cycle)
                sizes = (allocated(folder.lexical), allocated(chroma.folder), chroma.process.memory_info().rss)
                lexical, disk, memory = map(megabytes, sizes)
                done = f"{part} {cycle}: {written:,} files in {seconds:.1f} s"
                print(f"{done}; lexical {lexical}, Chroma {disk}, {memory} RSS", file=sys.stderr, flush=True)
                if cycle in (0, cycles):
                    figures.append(measure(folder, chroma, embedder))
    return figures


def rows(first: Figures, last: Figures, fresh: Figures) -> Iterator[Sequence[str]]:
    for name, of in (
        ("manifest (SQLite)", lambda one: one.manifest),
        ("lexical (tantivy)", lambda one: one.lexical),
        ("Chroma, on disk", lambda one: one.chroma),
        ("Chroma, RSS", lambda one: one.rss),
    ):
        yield name, *map(megabytes, (of(first), of(last), of(fresh))), f"{of(last) / of(fresh):.2f}"
    for name, of in (
        ("lexical segments", lambda one: one.segments),
        ("chunks", lambda one: one.chunks),
        ("vectors held", lambda one: one.vectors),
    ):
        yield name, *(f"{of(one):,}" for one in (first, last, fresh)), f"{of(last) / of(fresh):.2f}"
    for name, of in (
        (f"recall@{NEAREST} of all vectors held", lambda one: one.recall),
        (f"recall@{NEAREST} of texts in use, asked for {SLOTS_ASKED} as searches do", lambda one: one.recall_as_asked),
    ):
        yield name, *(f"{of(one):.3f}" for one in (first, last, fresh)), ""


def within(last: Figures, fresh: Figures, against: float) -> bool:
    sizes = (last.manifest, fresh.manifest), (last.lexical, fresh.lexical), (last.chroma, fresh.chroma)
    return (
        all(after <= against * before for after, before in sizes)
        and last.rss <= RSS_ALLOWED * fresh.rss
        and min(last.recall, last.recall_as_asked) >= RECALL_ALLOWED
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("tree", type=Path)
    parser.add_argument("--cycles", type=int, default=20)
    parser.add_argument("--share", type=float, default=0.2, help="of the files that each cycle rewrites")
    parser.add_argument("--against", type=float, default=2.0, help="times the fresh size that a store may have")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="muniment-churn-") as name:
        tree = copy_of(options.tree.resolve(), Path(name))
        first, last, fresh = churn(tree, Path(name) / "data", options.cycles, options.share)
    print(f"{options.cycles} cycles of rewriting {options.share:.0%} of {options.tree.name}. {machine_line()}\n")
    print_table(("", "first pass", "after the cycles", "a fresh index", "after / fresh"), rows(first, last, fresh))
    sys.exit(0 if within(last, fresh, options.against) else 1)


if __name__ == "__main__":
    main()
