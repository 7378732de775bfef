"""Compares the stores of one index (manifest, lexical index, vectors) and names everything they disagree about.

Reads only, and takes no lock: what a writer changes meanwhile is not compared. ``muniment.indexing.mending`` repairs.
"""

import sqlite3
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import islice
from pathlib import Path
from typing import Protocol

from pydantic import BaseModel, Field, computed_field

from muniment.datafolder import ProjectFolder
from muniment.errors import ChromaUnavailable, LexicalIndexDamaged
from muniment.flocks import is_locked
from muniment.lexical import LexicalChunk, LexicalReader
from muniment.manifest import ManifestReader
from muniment.manifest.reader import StoredChunk
from muniment.parsing.parsed import text_hash
from muniment.vectors import VectorStore

PAGE = 1000
EXAMPLES = 5
BUSY = "the stores among each other: a pass writes them now"


class Disagreement(StrEnum):
    MANIFEST_DAMAGED = "manifest_damaged"
    LEXICAL_DAMAGED = "lexical_damaged"
    HOMELESS_CHUNKS = "homeless_chunks"
    WRONG_REFERENCES = "wrong_references"
    WRONG_FILE_COUNTS = "wrong_file_counts"
    WRONG_COUNTERS = "wrong_counters"
    UNKNOWN_CHUNKS = "unknown_chunks"
    MISSING_CHUNKS = "missing_chunks"
    ALTERED_CHUNKS = "altered_chunks"
    DOUBLED_CHUNKS = "doubled_chunks"
    MISSING_VECTORS = "missing_vectors"
    FOREIGN_VECTORS = "foreign_vectors"
    UNKNOWN_VECTORS = "unknown_vectors"


MEANING: dict[Disagreement, str] = {
    Disagreement.MANIFEST_DAMAGED: "SQLite finds its own file damaged",
    Disagreement.LEXICAL_DAMAGED: "the lexical index cannot be opened or read",
    Disagreement.HOMELESS_CHUNKS: "chunks in the manifest whose file or slot it does not know",
    Disagreement.WRONG_REFERENCES: "slots that count another number of chunks than have their text",
    Disagreement.WRONG_FILE_COUNTS: "files that count other numbers of chunks, or of chunks to embed, than they have",
    Disagreement.WRONG_COUNTERS: "counters of the index that disagree with its tables",
    Disagreement.UNKNOWN_CHUNKS: "chunks in the lexical index that the manifest does not know: phantom hits",
    Disagreement.MISSING_CHUNKS: "chunks of the manifest that the lexical index lacks: they cannot be found",
    Disagreement.ALTERED_CHUNKS: "chunks whose text, lines or path differ between lexical index and manifest",
    Disagreement.DOUBLED_CHUNKS: "chunks that the lexical index holds more than once",
    Disagreement.MISSING_VECTORS: "texts that count as embedded and have no vector",
    Disagreement.FOREIGN_VECTORS: "texts whose vector is that of another text",
    Disagreement.UNKNOWN_VECTORS: "vectors that belong to no slot of the manifest",
}


class Finding(BaseModel):
    what: Disagreement
    count: int
    examples: list[str] = Field(description=f"At most {EXAMPLES} of them.")
    meaning: str


class IndexBytes(BaseModel):
    """On disk. Vectors lie in the server that all projects share: they are counted, not weighed."""

    manifest: int = 0
    lexical: int = 0


class IndexReport(BaseModel):
    """What an examination saw. ``sound``: everything was compared, and agrees."""

    project_id: str
    indexed: bool = Field(True, description="There is an index to examine.")
    busy: bool = Field(False, description="A pass was writing: only the manifest was examined, in itself.")
    generation: int = 0
    files: int = 0
    chunks: int = 0
    vectors: int | None = Field(None, description="Held by the active collection; null when it was not asked.")
    collection: str | None = None
    building: str | None = Field(None, description="Collection that another model's vectors are being made in.")
    clean_end: bool = Field(True, description="The last writer ended in order; else the next pass repairs its batch.")
    complete: bool = Field(True, description="The last plan for the whole tree was carried out to its end.")
    interrupted: list[str] = Field([], description="Files of a batch that its writer did not end.")
    findings: list[Finding] = []
    unchecked: list[str] = Field([], description="What could not be compared, and why.")
    bytes_on_disk: IndexBytes = Field(default_factory=IndexBytes)

    @computed_field  # type: ignore[prop-decorator]
    @property
    def sound(self) -> bool:
        return not self.findings and not self.unchecked


class HoldsChunks(Protocol):
    """A LexicalReader or a LexicalWriter."""

    def ids(self) -> list[int]: ...

    def chunks(self, chunk_ids: list[int], /) -> dict[int, LexicalChunk]: ...


@dataclass
class ChunkDifferences:
    """By chunk id; ``unknown`` to the manifest, the others with what they are to the manifest."""

    unknown: list[int] = field(default_factory=list)
    doubled: list[StoredChunk] = field(default_factory=list)
    missing: list[StoredChunk] = field(default_factory=list)
    altered: list[StoredChunk] = field(default_factory=list)

    @property
    def damaged(self) -> list[StoredChunk]:
        return [*self.doubled, *self.missing, *self.altered]


def compare_chunks(manifest: ManifestReader, lexical: HoldsChunks | None) -> ChunkDifferences:
    """Every chunk of the manifest against what the lexical index holds under its id, the text included."""
    times = Counter(lexical.ids() if lexical else ())
    found = ChunkDifferences()
    for page in _pages(manifest):
        twice = [chunk for chunk in page if times[chunk.id] > 1]
        once = [chunk.id for chunk in page if times[chunk.id] == 1]
        held = lexical.chunks(once) if lexical else {}
        found.doubled += twice
        found.missing += [chunk for chunk in page if not times[chunk.id]]
        found.altered += [chunk for chunk in page if chunk.id in held and not _same(chunk, held[chunk.id])]
        for chunk in page:
            times.pop(chunk.id, None)
    found.unknown = sorted(times)
    return found


def _pages(manifest: ManifestReader) -> Iterator[list[StoredChunk]]:
    after = 0
    while page := manifest.stored_chunks(after, PAGE):
        yield page
        after = page[-1].id


def _same(chunk: StoredChunk, held: LexicalChunk) -> bool:
    return (chunk.path, chunk.start_line, chunk.end_line, chunk.text_hash) == (
        held.path, held.start_line, held.end_line, text_hash(held.text),
    )  # fmt: skip


@dataclass
class VectorDifferences:
    """Slots: without their vector, with another text's, and ids of vectors that are no slot."""

    missing: list[int] = field(default_factory=list)
    foreign: list[int] = field(default_factory=list)
    unknown: list[int] = field(default_factory=list)
    held: int = 0


def compare_vectors(
    manifest: ManifestReader, vectors: VectorStore, collection: str, *, beside: bool = False
) -> VectorDifferences:
    """Every slot that counts as embedded against the text that its vector belongs to. Raises ChromaUnavailable."""
    ids = vectors.slots(collection)
    found = VectorDifferences(unknown=sorted(ids - manifest.slot_ids()), held=len(ids))
    after = 0
    while page := manifest.embedded(after, PAGE, beside=beside):
        held = vectors.hashes(collection, [slot for slot in page if slot in ids])
        found.missing += [slot for slot in page if slot not in held]
        found.foreign += [slot for slot, expected in page.items() if slot in held and held[slot] != expected]
        after = max(page)
    return found


def examine(folder: ProjectFolder, project_id: str, vectors: VectorStore) -> IndexReport:
    """Takes seconds for a large index. Raises nothing for what is wrong with the stores: the report says it."""
    report = IndexReport(project_id=project_id, bytes_on_disk=_bytes(folder))
    try:
        manifest = ManifestReader.open(folder.manifest)
    except sqlite3.DatabaseError as error:
        _add(report, Disagreement.MANIFEST_DAMAGED, [str(error)])
        return report
    if manifest is None:
        return report.model_copy(update={"indexed": False})
    with closing(manifest):
        try:
            _examine(report, folder, manifest, vectors)
        except sqlite3.DatabaseError as error:
            _add(report, Disagreement.MANIFEST_DAMAGED, [str(error)])
    return report


def _examine(report: IndexReport, folder: ProjectFolder, manifest: ManifestReader, vectors: VectorStore) -> None:
    busy = is_locked(folder.writer_lock)
    meta, counters, census = manifest.meta(), manifest.counters(), manifest.census()
    report.generation, report.collection, report.building = meta.generation, meta.collection, meta.building
    report.files, report.chunks = counters.files_total, counters.chunks
    report.clean_end, report.complete = busy or meta.clean, not meta.incomplete
    report.interrupted = [] if busy else manifest.interrupted_paths()[:EXAMPLES]
    among_each_other = IndexReport(project_id=report.project_id)
    if not busy and not census.damage:
        _compare_lexical(among_each_other, folder, manifest)
        _compare_vectors(among_each_other, manifest, vectors)
    _add(report, Disagreement.MANIFEST_DAMAGED, census.damage)
    _add(report, Disagreement.HOMELESS_CHUNKS, census.homeless)
    _add(report, Disagreement.WRONG_REFERENCES, census.references)
    _add(report, Disagreement.WRONG_FILE_COUNTS, census.file_counts)
    _add(report, Disagreement.WRONG_COUNTERS, census.counters)
    # a pass that began since has changed what was compared: none of it is certain
    report.busy = busy or is_locked(folder.writer_lock) or manifest.meta().generation != meta.generation
    if report.busy:
        report.unchecked.append(BUSY)
    else:
        report.vectors = among_each_other.vectors
        report.findings += among_each_other.findings
        report.unchecked += among_each_other.unchecked


def _compare_lexical(report: IndexReport, folder: ProjectFolder, manifest: ManifestReader) -> None:
    try:
        found = compare_chunks(manifest, LexicalReader.open(folder.lexical))
    except LexicalIndexDamaged as damaged:
        _add(report, Disagreement.LEXICAL_DAMAGED, [damaged.text])
        return
    _add(report, Disagreement.UNKNOWN_CHUNKS, [f"chunk {chunk_id}" for chunk_id in found.unknown])
    _add(report, Disagreement.MISSING_CHUNKS, map(_described, found.missing))
    _add(report, Disagreement.ALTERED_CHUNKS, map(_described, found.altered))
    _add(report, Disagreement.DOUBLED_CHUNKS, map(_described, found.doubled))


def _compare_vectors(report: IndexReport, manifest: ManifestReader, vectors: VectorStore) -> None:
    meta = manifest.meta()
    for collection, beside in ((meta.collection, False), (meta.building, True)):
        if collection is None:
            continue
        try:
            found = compare_vectors(manifest, vectors, collection, beside=beside)
        except ChromaUnavailable as away:
            report.unchecked.append(f"vectors of {collection}: {away.text}")
            continue
        report.vectors = found.held if not beside else report.vectors
        _add(report, Disagreement.MISSING_VECTORS, [f"{collection}: slot {slot}" for slot in found.missing])
        _add(report, Disagreement.FOREIGN_VECTORS, [f"{collection}: slot {slot}" for slot in found.foreign])
        _add(report, Disagreement.UNKNOWN_VECTORS, [f"{collection}: {slot}" for slot in found.unknown])


def _add(report: IndexReport, what: Disagreement, items: Iterable[str]) -> None:
    """Nothing when there are none."""
    named = items if isinstance(items, Collection) else list(items)
    if named:
        examples = list(islice(named, EXAMPLES))
        report.findings.append(Finding(what=what, count=len(named), examples=examples, meaning=MEANING[what]))


def _described(chunk: StoredChunk) -> str:
    return f"chunk {chunk.id}: {chunk.path}:{chunk.start_line}-{chunk.end_line}"


def _bytes(folder: ProjectFolder) -> IndexBytes:
    return IndexBytes(
        manifest=_sizes(folder.path.glob(folder.manifest.name + "*")),
        lexical=_sizes(folder.lexical.glob("*")),
    )


def _sizes(files: Iterable[Path]) -> int:
    total = 0
    for file in files:
        try:
            total += file.stat().st_size
        except FileNotFoundError:  # merged away meanwhile
            continue
    return total
