"""Another model, chunker or set of masking rules: built beside the old, which answers until the new one is complete."""

import dataclasses
import signal

import index_bench
import pytest

from muniment.errors import EmbedderRefused
from muniment.indexing import Step, batches, passing
from muniment.manifest import ManifestReader
from muniment.parsing import ParsedFile
from muniment.scanning import SkipReason
from muniment.search import Search
from muniment.testing import HashedWordsEmbedder

OLD, NEW = HashedWordsEmbedder(32), HashedWordsEmbedder(32, "hashed-words-2")


class Interrupted(Exception): ...


def interrupt():
    raise Interrupted


def by_meaning(bench, question):
    """What the vectors alone answer, asked as a gateway with the new model asks."""
    models = {OLD.name: OLD}
    search = Search(bench.data, bench.vectors, NEW, patience=30, for_model=lambda name, _source: models.get(name))
    try:
        with search._indexes.using(bench.project.id) as index:
            near = search._meaning.asked(index, bench.project, question, index_bench.NO_FILTERS)()
        return [candidate.path for candidate in near.candidates]
    finally:
        search.close()


def collections(bench):
    return {name for name in (bench.collection(OLD), bench.collection(NEW)) if bench.vectors.count(name)}


@pytest.fixture
def indexed(bench):
    bench.run()
    return bench


def test_the_old_vectors_answer_until_the_new_ones_are_complete(indexed):
    indexed.use(embedder=NEW)
    question = "function_7 answer 7"
    with pytest.raises(Interrupted):
        indexed.run(control=index_bench.Interfere({(Step.VECTORS_MARKED, 2): interrupt}))
    assert indexed.meta().collection == indexed.collection(OLD)
    assert by_meaning(indexed, question)[0] == "pkg/file7.py"
    assert indexed.counters().files_vector == 12
    indexed.run()
    assert indexed.meta().collection == indexed.collection(NEW)
    assert by_meaning(indexed, question)[0] == "pkg/file7.py"
    assert collections(indexed) == {indexed.collection(NEW)}


SWAPPING = [Step.COLLECTION_CHOSEN, Step.VECTORS_UPSERTED, Step.VECTORS_MARKED, Step.COLLECTION_SWAPPED, Step.FINISHED]


@pytest.mark.parametrize("step", SWAPPING)
def test_a_change_of_model_killed_at_any_step_ends_as_an_undisturbed_one(indexed, step):
    assert indexed.run_in_a_process(step, model=NEW.name) == -signal.SIGKILL
    indexed.use(embedder=NEW)
    indexed.run()
    assert (indexed.meta().collection, indexed.meta().building) == (indexed.collection(NEW), None)
    assert collections(indexed) == {indexed.collection(NEW)}
    assert "!" not in indexed.state()
    assert indexed.counters().files_vector == 12


def test_going_back_before_the_swap_keeps_the_old_vectors_and_drops_the_new(indexed):
    before = indexed.state()
    assert indexed.run_in_a_process(Step.VECTORS_MARKED, model=NEW.name) == -signal.SIGKILL
    OLD.calls.clear()
    indexed.use(embedder=OLD)
    indexed.run()
    assert indexed.state() == before
    assert OLD.calls == []
    assert collections(indexed) == {indexed.collection(OLD)}


def test_an_edit_while_the_new_vectors_are_made_is_in_them(indexed):
    indexed.use(embedder=NEW)

    def edit():
        indexed.write("pkg/file3.py", "def rewritten_meanwhile():\n    return 'elsewhere'\n")
        indexed.tools.dirty.add(indexed.project.id, ["pkg/file3.py"])

    indexed.run(control=index_bench.Interfere({(Step.VECTORS_MARKED, 1): edit}))
    assert by_meaning(indexed, "rewritten_meanwhile elsewhere")[0] == "pkg/file3.py"
    assert "!" not in indexed.state()


def test_another_chunker_reads_every_file_again_and_embeds_only_texts_that_differ(indexed, monkeypatch):
    monkeypatch.setattr(passing, "CONTENT_VERSION", "chunker 99, masking 99")
    OLD.calls.clear()
    indexed.use(embedder=OLD)
    control = index_bench.runner.KillAt(None)
    progress = indexed.run(control=control)
    assert progress.chunks > 0
    assert control.seen[Step.MANIFEST_COMMITTED] >= 4
    assert OLD.calls == []
    again = indexed.run()
    assert again.chunks == 0


def test_a_change_of_the_chunker_that_was_interrupted_goes_on_with_the_files_that_are_left(indexed, monkeypatch):
    monkeypatch.setattr(passing, "CONTENT_VERSION", "chunker 99, masking 99")
    with pytest.raises(Interrupted):
        indexed.run(control=index_bench.Interfere({(Step.MANIFEST_COMMITTED, 2): interrupt}))
    assert len(indexed.find("function")) == 10
    control = index_bench.runner.KillAt(None)
    indexed.run(control=control)
    reader = ManifestReader.open(indexed.folder.manifest)
    stamps = reader.files([f"pkg/file{number}.py" for number in range(10)])
    reader.close()
    assert {stamp.target for stamp in stamps.values()} == {1}
    assert control.seen[Step.MANIFEST_COMMITTED] <= 2


def test_a_file_that_could_not_be_read_when_the_chunker_changed_is_cut_by_the_new_one_later(indexed, monkeypatch):
    away, read = "pkg/file3.py", batches.parse_file
    cut = []

    def parse_file(request, most):
        parsed = read(request, most)
        cut.extend([parsed.path] if parsed.chunks is not None else [])
        return parsed

    def unreadable(request, most):
        file = request.file
        if file.path == away:
            return ParsedFile(away, file.size, file.mtime_ns, left_out=SkipReason.UNREADABLE)
        return read(request, most)

    monkeypatch.setattr(passing, "CONTENT_VERSION", "chunker 99, masking 99")
    monkeypatch.setattr(batches, "parse_file", unreadable)
    assert indexed.run().files.failed == 1
    assert indexed.find("function_3")[0] == away, "what is indexed of it goes on answering"
    monkeypatch.setattr(batches, "parse_file", parse_file)
    assert indexed.run().files.failed == 0
    assert cut == [away]


class Picky(HashedWordsEmbedder):
    """A server that refuses some texts, for what they say."""

    def __init__(self, *refused):
        super().__init__(32, "picky-1")
        self.refused = refused

    def embed(self, texts):
        if any(word in text for word in self.refused for text in texts):
            raise EmbedderRefused("http://server", "picky", "content policy")
        return super().embed(texts)


def test_a_text_that_the_embedder_refuses_keeps_no_other_from_the_new_vectors(indexed):
    picky = Picky("answer 0", "answer 3")
    indexed.use(embedder=picky)
    progress = indexed.run()
    assert (indexed.meta().collection, indexed.meta().building) == (indexed.collection(picky), None)
    assert [(failure.path, failure.reason) for failure in progress.failures] == [
        ("pkg/file0.py", "refused"),
        ("pkg/file3.py", "refused"),
    ]
    assert indexed.counters().files_vector == 10


def test_an_embedder_that_refuses_everything_fails_the_pass_and_the_old_vectors_answer(indexed):
    picky = Picky("")
    indexed.use(embedder=picky)
    with pytest.raises(EmbedderRefused, match="content policy"):
        indexed.run()
    assert indexed.meta().collection == indexed.collection(OLD)
    assert indexed.counters().files_vector == 12


def test_bench_tools_can_be_replaced(bench):
    bench.use(helpers=2)
    assert dataclasses.asdict(bench.tools.limits)["batch_files"] == 3
    assert bench.tools.helpers == 2
