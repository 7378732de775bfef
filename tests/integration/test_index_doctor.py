"""Every kind of damage to an index is seen, named and repaired, on a real Chroma."""

import shutil
from contextlib import closing
from dataclasses import replace

import numpy as np
import pass_process as runner
import pytest
from fleet import Fleet
from index_bench import Interfere

from muniment.errors import ChromaUnavailable
from muniment.indexing import Step, open_index
from muniment.indexing.examining import MEANING, Disagreement, examine
from muniment.jobs import JobRequest, JobStatus
from muniment.lexical import LexicalChunk, LexicalReader, LexicalWriter
from muniment.sqlite import connect
from muniment.vectors import VectorStore


@pytest.fixture
def indexed(bench):
    bench.run()
    return bench


def look(bench, vectors=None):
    return examine(bench.folder, bench.project.id, vectors or bench.vectors)


def found(bench):
    return {finding.what: finding.count for finding in look(bench).findings}


def sql(bench, statement, *values):
    with closing(connect(bench.folder.manifest)) as db:
        return db.execute(statement, values).fetchall()


def chunks_of(bench, path):
    return [
        row[0]
        for row in sql(bench, "SELECT c.id FROM chunks c JOIN files f ON f.id = c.file_id WHERE f.path = ?", path)
    ]


def slot_of(bench, path):
    return sql(bench, "SELECT slot FROM chunks WHERE id = ?", chunks_of(bench, path)[0])[0][0]


def lose_chunk(bench):
    with LexicalWriter(bench.folder.lexical) as writer:
        writer.delete_chunks(chunks_of(bench, "pkg/file1.py"))
        writer.commit()


def add_chunk(bench, chunk_id, path="pkg/phantom.py", text="def phantom(): ..."):
    with LexicalWriter(bench.folder.lexical) as writer:
        writer.add([LexicalChunk(chunk_id, path, text, 1, 1)])
        writer.commit()


def swap_texts(bench):
    """As many chunks as before, and one of them is another."""
    chunk_id = chunks_of(bench, "pkg/file4.py")[0]
    held = LexicalReader.open(bench.folder.lexical).chunks([chunk_id])[chunk_id]
    with LexicalWriter(bench.folder.lexical) as writer:
        writer.delete_chunks([chunk_id])
        writer.add([replace(held, text="def quite_another(): ...")])
        writer.commit()


def double_chunk(bench):
    add_chunk(bench, chunks_of(bench, "pkg/file5.py")[0], "pkg/file5.py")


def lose_vector(bench):
    bench.vectors.remove(bench.collection(bench.embedder), [slot_of(bench, "pkg/file2.py")])


def overwrite_vector(bench):
    vector = bench.embedder.embed(["something else"])
    slot = slot_of(bench, "pkg/file6.py")
    bench.vectors.upsert(bench.collection(bench.embedder), [slot], [b"\1" * 16], vector)


def add_vector(bench):
    bench.vectors.upsert(bench.collection(bench.embedder), [9_999], [b"\1" * 16], np.ones((1, 32), np.float32))


DAMAGE = {
    Disagreement.MISSING_CHUNKS: lose_chunk,
    Disagreement.UNKNOWN_CHUNKS: lambda bench: add_chunk(bench, 500_000),
    Disagreement.ALTERED_CHUNKS: swap_texts,
    Disagreement.DOUBLED_CHUNKS: double_chunk,
    Disagreement.MISSING_VECTORS: lose_vector,
    Disagreement.FOREIGN_VECTORS: overwrite_vector,
    Disagreement.UNKNOWN_VECTORS: add_vector,
    Disagreement.WRONG_COUNTERS: lambda bench: sql(bench, "UPDATE counters SET files_vector = 3, next_chunk = 1"),
    Disagreement.WRONG_REFERENCES: lambda bench: sql(bench, "UPDATE slots SET refs = refs + 4 WHERE id = 2"),
    Disagreement.WRONG_FILE_COUNTS: lambda bench: sql(bench, "UPDATE files SET pending = 7 WHERE path = 'README.md'"),
    Disagreement.HOMELESS_CHUNKS: lambda bench: sql(bench, "DELETE FROM files WHERE path = 'README.md'"),
}


def test_an_index_as_a_pass_left_it_is_sound(indexed):
    report = look(indexed)
    assert report.sound, report
    assert (report.files, report.chunks, report.vectors) == (12, report.chunks, report.chunks)
    assert report.clean_end
    assert report.complete
    assert min(report.bytes_on_disk.manifest, report.bytes_on_disk.lexical) > 0


def test_each_disagreement_says_what_it_means_and_is_damaged_here():
    assert set(MEANING) == set(Disagreement)
    assert set(DAMAGE) | {Disagreement.MANIFEST_DAMAGED, Disagreement.LEXICAL_DAMAGED} == set(Disagreement)


@pytest.mark.parametrize("what", DAMAGE)
def test_damage_is_named_and_repaired(indexed, what):
    undisturbed = indexed.state()
    DAMAGE[what](indexed)
    report = look(indexed)
    assert not report.sound
    named = {finding.what: finding for finding in report.findings}
    assert what in named
    assert named[what].examples
    progress = indexed.run(job_id="job-2", repair=True)
    assert look(indexed).findings == []
    assert indexed.state() == undisturbed
    assert progress.chunks <= 3  # what was in order was not read again


def test_an_examination_changes_nothing(indexed):
    for damage in (lose_chunk, lose_vector):
        damage(indexed)
    before = {path: path.read_bytes() for path in indexed.folder.lexical.iterdir()}
    assert found(indexed) == found(indexed) == {Disagreement.MISSING_CHUNKS: 1, Disagreement.MISSING_VECTORS: 1}
    assert {path: path.read_bytes() for path in indexed.folder.lexical.iterdir()} == before


def test_all_kinds_of_damage_at_once_are_repaired_in_one_pass(indexed):
    undisturbed = indexed.state()
    for damage in DAMAGE.values():
        damage(indexed)
    indexed.run(job_id="job-2", repair=True)
    assert look(indexed).sound
    assert indexed.state() == undisturbed


def test_a_vector_of_another_text_is_left_by_a_pass_that_was_not_asked_to_repair(indexed):
    overwrite_vector(indexed)
    indexed.run(job_id="job-2")
    assert found(indexed) == {Disagreement.FOREIGN_VECTORS: 1}


def test_freed_slots_with_their_vectors_are_no_disagreement(indexed):
    (indexed.tree / "pkg/file3.py").unlink()
    indexed.run(job_id="job-2")
    report = look(indexed)
    assert report.sound, report
    assert report.vectors > report.chunks


def test_while_a_pass_writes_only_the_manifest_is_examined(indexed):
    lose_vector(indexed)
    sql(indexed, "UPDATE slots SET refs = refs + 4 WHERE id = 2")
    seen = []
    indexed.write("pkg/new.py", "def brand_new(): ...\n")
    indexed.run(control=Interfere({(Step.LEXICAL_COMMITTED, 1): lambda: seen.append(look(indexed))}))
    assert seen[0].busy
    assert not seen[0].sound
    assert {finding.what for finding in seen[0].findings} == {Disagreement.WRONG_REFERENCES}
    assert seen[0].vectors is None


def test_a_pass_that_began_meanwhile_makes_the_comparison_void(indexed):
    lose_vector(indexed)

    class Slow(VectorStore):
        def slots(self, name):
            held = super().slots(name)
            with open_index(indexed.folder, indexed.project.id):
                pass
            return held

    report = look(indexed, Slow(indexed.chroma_url))
    assert report.busy
    assert report.findings == []


def test_without_chroma_the_rest_is_examined_and_it_says_so(indexed):
    lose_chunk(indexed)
    report = look(indexed, VectorStore("http://127.0.0.1:9"))
    assert {finding.what for finding in report.findings} == {Disagreement.MISSING_CHUNKS}
    assert len(report.unchecked) == 1
    assert "127.0.0.1:9" in report.unchecked[0]
    assert not report.sound


def test_a_repair_without_chroma_ends_as_any_pass_does(indexed, monkeypatch):
    monkeypatch.setattr("muniment.indexing.vector_stage.PATIENCE_SECONDS", 0.0)
    add_chunk(indexed, 500_000)
    away = replace(indexed.tools, vectors=VectorStore("http://127.0.0.1:9"))
    with pytest.raises(ChromaUnavailable):
        indexed.run(job_id="job-2", repair=True, tools=away)
    assert found(indexed) == {}


def test_what_a_killed_pass_left_is_told(indexed):
    indexed.write("pkg/new.py", "def brand_new(): ...\n")
    indexed.run_in_a_process(Step.LEXICAL_COMMITTED, 1)
    report = look(indexed)
    assert report.interrupted == ["pkg/new.py"]
    assert not report.clean_end
    assert {finding.what for finding in report.findings} == {Disagreement.UNKNOWN_CHUNKS}
    indexed.run(job_id="job-2")
    assert look(indexed).sound


@pytest.mark.parametrize(
    ("damage", "what"),
    [
        (lambda bench: bench.folder.manifest.write_bytes(b"no database" * 500), Disagreement.MANIFEST_DAMAGED),
        (lambda bench: (bench.folder.lexical / "meta.json").write_text("{"), Disagreement.LEXICAL_DAMAGED),
        (lambda bench: [path.unlink() for path in bench.folder.lexical.iterdir()], Disagreement.MISSING_CHUNKS),
    ],
)
def test_a_store_that_cannot_be_read_is_named_and_built_anew(indexed, damage, what):
    undisturbed = indexed.state()
    damage(indexed)
    assert what in found(indexed)
    indexed.run(job_id="job-2", repair=True)
    assert look(indexed).sound
    assert indexed.state() == undisturbed


def test_a_project_that_was_never_indexed_has_nothing_to_examine(bench):
    report = look(bench)
    assert not report.indexed
    assert report.sound


def test_stores_that_disagree_are_mended_without_a_repair_and_without_emptying_the_index(indexed):
    undisturbed, calls = indexed.state(), len(indexed.embedder.calls)
    lose_chunk(indexed)
    control = runner.KillAt(None)
    progress = indexed.run(job_id="job-2", control=control)
    assert progress.chunks == 1
    assert len(indexed.embedder.calls) == calls
    assert indexed.state() == undisturbed


def test_a_repair_is_a_job_that_the_worker_does(tmp_path, valkey_url, chroma_url, until):
    fleet = Fleet(tmp_path, valkey_url, chroma_url)
    try:
        project = fleet.project("alpha", 5)
        folder, vectors = fleet.folder.project(project.id), VectorStore(chroma_url)
        fleet.start()
        job_id = fleet.request(project)
        until(lambda: fleet.queue.get(job_id).status == JobStatus.COMPLETED, 30)
        undisturbed = fleet.state(project)
        vectors.remove(examine(folder, project.id, vectors).collection, [1, 2])
        assert not examine(folder, project.id, vectors).sound
        job_id = fleet.queue.request(project, JobRequest(repair=True)).job_id
        until(lambda: fleet.queue.get(job_id).status == JobStatus.COMPLETED, 30)
        assert examine(folder, project.id, vectors).sound
        assert fleet.state(project) == undisturbed
    finally:
        fleet.stop()


@pytest.mark.parametrize("damage", [shutil.rmtree, lambda folder: (folder / "meta.json").write_text("{")])
def test_a_lost_lexical_index_costs_no_vector(indexed, damage):
    undisturbed, calls = indexed.state(), len(indexed.embedder.calls)
    damage(indexed.folder.lexical)
    progress = indexed.run(job_id="job-2")
    assert progress.files.done == 12
    assert len(indexed.embedder.calls) == calls
    assert indexed.state() == undisturbed
