"""An index that is rewritten again and again stays about as large as a fresh one, and finds the same."""

import json
from dataclasses import replace

import pytest

from muniment.errors import LeaseLost
from muniment.indexing import compacting, open_index
from muniment.lexical import LexicalReader, LexicalWriter
from muniment.manifest import LeftOut, ManifestReader, guard

FILES = 40
PARTS = 10


@pytest.fixture
def churned(bench, monkeypatch):
    monkeypatch.setattr(compacting, "FEWEST", 20)
    bench.use(limits=replace(bench.tools.limits, batch_chunks=80))
    for number in range(FILES):
        rewrite(bench, number, 0)
    bench.run()
    return bench


def rewrite(bench, number, cycle):
    parts = (f"## Part {part}\n\nword{number}x{part}x{cycle} {'text ' * 40}\n" for part in range(PARTS))
    bench.write(f"docs/page{number}.md", f"# Page {number}\n\n" + "\n".join(parts))


def segments(bench):
    meta = json.loads((bench.folder.lexical / "meta.json").read_text())
    return [(segment["max_doc"], (segment["deletes"] or {}).get("num_deleted_docs", 0)) for segment in meta["segments"]]


def taken(bench):
    """Chunks that the lexical index holds, the deleted ones too, for each that lives."""
    counted = segments(bench)
    return sum(most for most, _ in counted) / sum(most - deleted for most, deleted in counted)


def test_twenty_rewrites_of_a_fifth_of_the_files_leave_the_stores_about_as_large_as_fresh_ones(churned):
    slots = churned.vectors.count(churned.collection(churned.embedder))
    manifest = churned.folder.manifest.stat().st_size
    worst = 0.0
    for cycle in range(1, 21):
        for number in range(cycle % 5, FILES, 5):
            rewrite(churned, number, cycle)
        churned.run(job_id=f"job-{cycle}")
        worst = max(worst, taken(churned))
    assert worst <= 2
    assert len(segments(churned)) <= 16
    assert churned.vectors.count(churned.collection(churned.embedder)) <= 1.5 * slots
    assert churned.folder.manifest.stat().st_size <= 2 * manifest
    churned_state = churned.state()
    churned.wipe()
    churned.run()
    assert churned.state() == churned_state


@pytest.fixture
def wasteful(churned):
    """A writer on an index in whose one large segment the chunks of three files in four are deleted, then added anew.
    Gives it with the ids of those that are still there."""
    with LexicalWriter(churned.folder.lexical) as writer:
        chunks = writer.chunks(writer.ids())
        chunks = {number: replace(chunk, defines=("Cartographer",)) for number, chunk in chunks.items()}
        writer.delete_all()
        writer.add(chunks.values())
        writer.commit()
        gone = {number for number in chunks if number % 4}
        writer.delete_chunks(gone)
        writer.commit()
        yield writer, {number: chunk for number, chunk in chunks.items() if number not in gone}


def test_what_is_written_again_is_the_same_and_what_was_deleted_takes_no_space(wasteful):
    writer, chunks = wasteful
    assert writer.deleted_chunks > 2 * len(chunks)
    assert compacting.compact(writer, 0.0, lambda: None, lambda: 0.0) == len(chunks)
    assert writer.deleted_chunks == 0
    assert writer.chunks(writer.ids()) == chunks
    assert sorted(writer.ids()) == sorted(chunks)
    assert LexicalReader.open(writer.folder).search("cartographer", 3)


def test_a_little_waste_is_left_alone(wasteful, monkeypatch):
    writer, chunks = wasteful
    monkeypatch.setattr(compacting, "MOST_DELETED", 1.0 + writer.deleted_chunks / len(chunks))
    assert compacting.compact(writer, 0.0, lambda: None, lambda: 0.0) == 0
    monkeypatch.setattr(compacting, "MOST_DELETED", 0.5)
    monkeypatch.setattr(compacting, "FEWEST", writer.deleted_chunks + 1)
    assert compacting.compact(writer, 0.0, lambda: None, lambda: 0.0) == 0


def test_a_small_update_leaves_the_rest_to_the_next_pass(wasteful, monkeypatch):
    writer, chunks = wasteful
    monkeypatch.setattr(compacting, "SLICE", 10)
    clock = iter([0.0, 0.1, 0.4, 0.6])
    assert compacting.compact(writer, 0.0, lambda: None, lambda: next(clock)) == 20
    assert sorted(writer.ids()) == sorted(chunks)
    assert compacting.compact(writer, 0.0, lambda: None, lambda: 0.0) > 0
    assert writer.deleted_chunks <= len(chunks) * compacting.MOST_DELETED
    assert sorted(writer.ids()) == sorted(chunks)


def test_a_pass_can_be_stopped_while_it_compacts(wasteful, monkeypatch):
    writer, chunks = wasteful
    monkeypatch.setattr(compacting, "SLICE", 10)
    asked = []

    def check():
        asked.append(None)
        if len(asked) == 3:
            raise LeaseLost("demo-abc234")

    with pytest.raises(LeaseLost):
        compacting.compact(writer, 0.0, check, lambda: 0.0)
    assert sorted(writer.ids()) == sorted(chunks)


def test_the_log_of_a_manifest_that_is_being_read_does_not_stay(churned):
    reader = ManifestReader.open(churned.folder.manifest)
    log = churned.folder.path / "manifest.sqlite-wal"
    try:
        rewrite(churned, 1, 1)
        churned.run(job_id="job-2")
        assert log.stat().st_size == 0
        assert reader.counters().files_total == FILES + 12
    finally:
        reader.close()


def test_a_manifest_that_has_become_empty_gives_its_space_back(churned, monkeypatch):
    monkeypatch.setattr(guard, "FEWEST_EMPTY_PAGES", 10)
    with open_index(churned.folder, churned.project.id) as index:
        index.manifest.note_left_out(LeftOut(f"a/long/path/{number}" * 5, "binary", False) for number in range(5_000))
    full = churned.folder.manifest.stat().st_size
    with open_index(churned.folder, churned.project.id) as index:
        index.manifest.note_left_out([])
    assert churned.folder.manifest.stat().st_size < full / 2
    assert "!" not in churned.state()
