"""The manifest's two checkpoints, its slots and its counters."""

import sqlite3
from contextlib import closing

import pytest

from muniment.errors import LeaseLost
from muniment.manifest import FileUpdate, LeftOut, ManifestReader, ManifestWriter, NewChunk
from muniment.manifest.guard import OtherFormat
from muniment.planning import FileStamp


@pytest.fixture
def path(tmp_path):
    return tmp_path / "manifest.sqlite"


@pytest.fixture
def manifest(path):
    writer = ManifestWriter(path, "demo-abc234")
    yield writer
    writer.close(clean=True)


def put(manifest, path, *texts, stamp=None, removed=()):
    """Indexes a file of one chunk per text, as the pass does."""
    first = manifest.begin_batch([path, *removed], len(texts))
    chunks = [NewChunk(first + n, n + 1, n + 1, None, text.encode().ljust(16)) for n, text in enumerate(texts)]
    manifest.commit_batch([FileUpdate(path, stamp or FileStamp(1, 1, b"h"), chunks)], removed)


def embed_all(manifest):
    pending = manifest.vectors.pending(1000)
    manifest.vectors.mark_embedded(pending)
    return {item.slot for item in pending}


def test_a_file_counts_as_lexical_after_the_first_checkpoint_and_as_vector_after_the_second(manifest):
    manifest.expect(1, 0)
    put(manifest, "a.py", "one", "two")
    counters = manifest.counters()
    assert (counters.files_total, counters.files_lexical, counters.files_vector, counters.chunks) == (1, 1, 0, 2)
    embed_all(manifest)
    assert manifest.counters().files_vector == 1


def test_identical_text_takes_one_slot_and_completes_every_file_that_holds_it(manifest):
    put(manifest, "a.py", "licence", "one")
    put(manifest, "b.py", "licence")
    assert manifest.vectors.pending_count() == 2
    embed_all(manifest)
    assert manifest.counters().files_vector == 2


def test_a_rename_costs_no_vector_work(manifest):
    put(manifest, "old.py", "one", "two")
    embed_all(manifest)
    put(manifest, "new.py", "one", "two", removed=["old.py"])
    assert manifest.vectors.pending_count() == 0
    assert manifest.counters().files_vector == 1


def test_shifted_lines_cost_no_vector_work(manifest):
    put(manifest, "a.py", "one", "two")
    embed_all(manifest)
    put(manifest, "a.py", "new", "one", "two")
    assert manifest.vectors.pending_count() == 1


def test_a_freed_slot_is_taken_over_by_the_next_text(manifest):
    put(manifest, "a.py", "one")
    slots = embed_all(manifest)
    put(manifest, "a.py", "two")
    put(manifest, "b.py", "three")
    assert {item.slot for item in manifest.vectors.pending(10)} >= slots


def test_a_text_that_comes_back_finds_its_vector_again(manifest):
    put(manifest, "a.py", "one")
    embed_all(manifest)
    put(manifest, "a.py")
    put(manifest, "b.py", "one")
    assert manifest.vectors.pending_count() == 0


def test_a_slot_taken_over_while_its_vector_was_in_flight_stays_pending(manifest):
    put(manifest, "a.py", "one")
    in_flight = manifest.vectors.pending(10)
    put(manifest, "a.py")  # frees the slot
    put(manifest, "b.py", "two")  # takes it over
    manifest.vectors.mark_embedded(in_flight)
    assert [item.slot for item in manifest.vectors.pending(10)] == [in_flight[0].slot]
    assert manifest.counters().files_vector == 1  # a.py, which is empty now


def test_an_emptied_file_loses_its_chunks_and_stays_a_file(manifest):
    put(manifest, "a.py", "one", "two")
    put(manifest, "a.py")
    assert (manifest.counters().files_lexical, manifest.counters().chunks) == (1, 0)


def test_a_removed_file_leaves_no_chunk_and_no_counted_file(manifest):
    put(manifest, "a.py", "one")
    manifest.begin_batch(["a.py"], 0)
    manifest.commit_batch([], ["a.py"])
    assert (manifest.counters().files_lexical, manifest.counters().chunks) == (0, 0)
    assert manifest.vectors.pending_count() == 0


def test_only_a_new_stamp_keeps_the_chunks(manifest):
    put(manifest, "a.py", "one")
    manifest.begin_batch([], 0)
    manifest.commit_batch([FileUpdate("a.py", FileStamp(1, 99, b"h"), None)])
    assert manifest.stamps()["a.py"].mtime_ns == 99
    assert manifest.counters().chunks == 1


def test_a_file_that_turns_out_binary_leaves_the_expected_total(manifest):
    manifest.expect(2, 0)
    put(manifest, "a.py", "one")
    put(manifest, "b.png", stamp=FileStamp(1, 1, skipped="binary"))
    counters = manifest.counters()
    assert (counters.files_total, counters.files_lexical) == (1, 1)


def test_chunk_ids_are_never_given_twice(manifest):
    first = manifest.begin_batch(["a.py"], 3)
    manifest.forget_interrupted()
    assert manifest.begin_batch(["a.py"], 1) == first + 3


def test_an_interrupted_batch_is_named_and_its_files_are_read_again(path):
    writer = ManifestWriter(path, "p")
    put(writer, "a.py", "one")
    writer.begin_batch(["a.py", "new.py"], 2)  # and the process dies here
    successor = ManifestWriter(path, "p")
    assert not successor.clean
    assert successor.interrupted_paths() == ["a.py", "new.py"]
    successor.forget_interrupted()
    assert successor.stamps()["a.py"].size == -1
    assert successor.counters().chunks == 0
    assert successor.interrupted_paths() == []


def test_a_writer_that_was_overtaken_writes_nothing_more(path):
    old = ManifestWriter(path, "p")
    new = ManifestWriter(path, "p")
    with pytest.raises(LeaseLost):
        put(old, "a.py", "one")
    assert new.stamps() == {}


def test_an_orderly_end_is_remembered(path):
    ManifestWriter(path, "p").close(clean=True)
    assert ManifestWriter(path, "p").clean


def test_lost_vectors_are_pending_again(manifest):
    put(manifest, "a.py", "one", "two")
    slots = embed_all(manifest)
    manifest.vectors.forget([min(slots)])
    assert manifest.vectors.pending_count() == 1
    assert manifest.counters().files_vector == 0
    embed_all(manifest)
    assert manifest.counters().files_vector == 1


def test_the_first_collection_is_the_active_one_at_once(manifest):
    assert manifest.vectors.fill("one")
    put(manifest, "a.py", "one")
    assert manifest.meta().collection == "one"
    assert not manifest.vectors.fill("one")


def test_another_model_is_filled_beside_the_active_collection_and_then_takes_its_place(manifest):
    manifest.vectors.fill("one")
    put(manifest, "a.py", "one", "two")
    embed_all(manifest)
    assert manifest.vectors.fill("two", "/models/two")
    assert (manifest.meta().collection, manifest.meta().building) == ("one", "two")
    assert manifest.vectors.pending_count() == 2
    assert manifest.counters().files_vector == 1  # the active collection still answers
    embed_all(manifest)
    assert manifest.meta().collection == "one"
    assert manifest.vectors.abandoned() == []
    assert manifest.vectors.swap()
    assert (manifest.meta().collection, manifest.meta().building) == ("two", None)
    assert manifest.meta().model_source == "/models/two"
    assert manifest.counters().files_vector == 1
    assert manifest.vectors.abandoned() == ["one"]
    manifest.vectors.dropped("one")
    assert manifest.vectors.abandoned() == []


def test_a_text_that_came_while_another_model_was_filled_is_pending_in_the_active_collection_until_the_swap(manifest):
    manifest.vectors.fill("one")
    put(manifest, "a.py", "one")
    embed_all(manifest)
    manifest.vectors.fill("two")
    put(manifest, "b.py", "new")
    embed_all(manifest)
    assert manifest.counters().files_vector == 1
    manifest.vectors.swap()
    assert manifest.counters().files_vector == 2


def test_filling_another_collection_goes_on_where_it_was(manifest):
    manifest.vectors.fill("one")
    put(manifest, "a.py", "one", "two")
    embed_all(manifest)
    manifest.vectors.fill("two")
    manifest.vectors.mark_embedded(manifest.vectors.pending(1))
    assert not manifest.vectors.fill("two")
    assert manifest.vectors.pending_count() == 1


def test_going_back_to_the_active_model_gives_up_what_was_filled_beside_it(manifest):
    manifest.vectors.fill("one")
    put(manifest, "a.py", "one", "two")
    embed_all(manifest)
    manifest.vectors.fill("two")
    manifest.vectors.mark_embedded(manifest.vectors.pending(1))
    assert not manifest.vectors.fill("one")
    assert (manifest.vectors.pending_count(), manifest.vectors.abandoned()) == (0, ["two"])
    assert not manifest.vectors.swap()
    assert manifest.vectors.fill("two")
    assert manifest.vectors.pending_count() == 2


def test_a_third_model_finds_nothing_that_was_filled_for_the_second(manifest):
    manifest.vectors.fill("one")
    put(manifest, "a.py", "one", "two")
    embed_all(manifest)
    manifest.vectors.fill("two")
    embed_all(manifest)
    assert manifest.vectors.fill("three")
    assert manifest.vectors.pending_count() == 2
    assert manifest.vectors.abandoned() == ["two"]


def test_a_collection_that_holds_nothing_is_not_worth_keeping_for_answers(manifest):
    manifest.vectors.fill("one")
    put(manifest, "a.py", "one")
    assert manifest.vectors.fill("two")
    assert (manifest.meta().collection, manifest.meta().building) == ("two", None)


def test_what_was_filled_beside_an_active_collection_that_emptied_meanwhile_is_kept(manifest):
    manifest.vectors.fill("one")
    put(manifest, "a.py", "one")
    embed_all(manifest)
    manifest.vectors.fill("two")
    embed_all(manifest)
    manifest.commit_batch([], ["a.py"])
    assert not manifest.vectors.fill("two")
    assert (manifest.meta().collection, manifest.meta().building) == ("two", None)


def test_other_content_versions_raise_the_target_of_every_file_once(manifest):
    assert manifest.content_target("cut 1") == 0
    assert manifest.meta().incomplete  # a new index has not seen the whole tree yet
    manifest.settle()
    assert manifest.content_target("cut 1") == 0
    assert not manifest.meta().incomplete
    assert manifest.content_target("cut 2") == 1
    assert manifest.meta().incomplete  # a job for a part of the tree has a reconcile follow it
    assert manifest.content_target("cut 2") == 1
    assert manifest.begin_reindex("job-1") == 2
    assert manifest.content_target("cut 2") == 1


def test_a_manifest_of_another_format_is_refused(path):
    ManifestWriter(path, "p").close(clean=True)
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("UPDATE meta SET value = 1 WHERE key = 'schema'")
    with pytest.raises(OtherFormat, match="schema 1"):
        ManifestWriter(path, "p")


def left_out(manifest):
    return {tuple(row) for row in manifest._left_out(None)}


def test_what_a_scan_left_out_is_kept_by_name_until_the_next_scan_of_the_same_place(manifest):
    manifest.note_left_out([LeftOut("a/big.bin", "oversized", False), LeftOut("b/locked", "unreadable", True)])
    manifest.note_left_out([LeftOut("a/link", "symlink", False)], ["a"])
    assert left_out(manifest) == {("a/link", "symlink", 0), ("b/locked", "unreadable", 1)}
    manifest.note_left_out([], None)
    assert left_out(manifest) == set()


def test_a_resumed_reindex_keeps_its_target(manifest):
    assert manifest.begin_reindex("job-1") == manifest.begin_reindex("job-1")
    assert manifest.begin_reindex("job-2") == 2


def test_stamps_below_a_folder_do_not_include_its_namesakes(manifest):
    for path in ("lib/a.py", "lib.py", "library/a.py", "lib/deep/b.py"):
        put(manifest, path, path)
    assert set(manifest.stamps_under(["lib"])) == {"lib/a.py", "lib/deep/b.py"}
    assert set(manifest.stamps_under(["lib.py"])) == {"lib.py"}
    assert set(manifest.stamps_under(["lib.py", ""])) == set(manifest.stamps())  # '' is the root itself


def test_a_reader_finds_nothing_before_the_first_writer(path):
    assert ManifestReader.open(path) is None


def test_a_reader_in_another_connection_sees_what_was_committed(manifest, path):
    reader = ManifestReader.open(path)
    assert (reader.counters().chunks, reader.meta().collection) == (0, None)
    put(manifest, "a.py", "one")
    assert reader.counters().chunks == 1
    pending = manifest.vectors.pending(1)
    assert reader.slot_chunks([pending[0].slot]) == []  # it has no vector yet
    manifest.vectors.mark_embedded(pending)
    manifest.set_meta(collection="demo-model")
    assert reader.meta().collection == "demo-model"
    (chunk,) = reader.slot_chunks([pending[0].slot])
    assert (chunk.path, chunk.start_line, chunk.text_hash) == ("a.py", 1, b"one".ljust(16))
    assert reader.files(["a.py", "b.py"]).keys() == {"a.py"}
    reader.close()
