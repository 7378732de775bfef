"""Searches over a real index: filters lose nothing, what is like a place, several projects at once."""

import re

import numpy as np
import pytest
from index_bench import Bench

from muniment.errors import VectorsPending
from muniment.indexing import open_index
from muniment.manifest import ManifestReader
from muniment.search import Filters, Search, meaning, passing

COUNT = 600


@pytest.fixture
def many(bench):
    """Six hundred files in three folders of unlike sizes, indexed with their vectors."""
    for number in range(COUNT):
        folder = "rare" if number % 60 == 0 else "some" if number % 6 == 0 else "most"
        bench.write(f"{folder}/f{number}.py", f"def of_{number}():\n    return is_{number % 7} + not_{number % 11}\n")
    bench.run()
    return bench


@pytest.fixture
def search(bench):
    search = Search(bench.data, bench.vectors, bench.embedder, patience=30)
    yield search
    search.close()


def nearest(bench, question, matches):
    """The paths that pass a filter, nearest first, by comparing with every vector."""
    manifest = ManifestReader.open(bench.folder.manifest)
    collection = manifest.meta().collection
    rows = bench.vectors.vectors(collection, sorted(bench.vectors.slots(collection)))
    vector = bench.embedder.embed([question])[0]
    cosines = {slot: float(row @ vector) for slot, (_, row) in rows.items()}
    chunks = [chunk for chunk in manifest.slot_chunks(list(rows)) if matches(chunk.path)]
    manifest.close()
    return sorted((-cosines[chunk.slot], chunk.path) for chunk in chunks)


FILTERS = {
    ("rare/**",): lambda path: path.startswith("rare/"),
    ("some/**",): lambda path: path.startswith("some/"),
    ("most/**",): lambda path: path.startswith("most/"),
    ("*.py", "!most"): lambda path: path.endswith(".py") and not path.startswith("most/"),
    ("f5[0-9].py",): lambda path: re.search(r"/f5[0-9]\.py$", path) is not None,
}


def test_a_filter_leaves_the_nearest_of_what_passes_it(many, search, monkeypatch):
    monkeypatch.setattr(passing, "MOST_ASKED", 150)
    monkeypatch.setattr(meaning, "SLOTS_ASKED", 10)
    question = "of 3 return is_3 not_4"
    for globs, matches in FILTERS.items():
        wanted = nearest(many, question, matches)[:10]
        for share in (20.0, 0.0):
            search._meaning._passing = passing.PassingVectors()
            monkeypatch.setattr(passing, "EXACT_SHARE", share)
            with search._indexes.using(many.project.id) as index:
                near = search._meaning.asked(index, many.project, question, Filters(globs))()
            found = [candidate.path for candidate in near.candidates]
            assert all(map(matches, found))
            # many texts lie equally near: what counts is how near, not which; walking a graph finds nearly all
            scores = sorted(-candidate.score for candidate in near.candidates)[: len(wanted)]
            assert len(scores) == len(wanted), (globs, share)
            missed = np.array(scores) - np.array([cosine for cosine, _ in wanted])
            assert np.mean(missed > 1e-4) <= 0.2, (globs, share)


def test_what_is_like_a_file_is_found_when_its_vectors_are_there(bench, search):
    bench.write("pkg/pay.py", "def charge(card):\n    return gateway.retry(card.amount)\n")
    bench.write("pkg/refund.py", "def refund(card):\n    return gateway.retry(card.amount, back=True)\n")
    bench.run()
    found = search.related(bench.project, "pkg/pay.py", line=2)
    assert found.results[0].path == "pkg/refund.py"
    assert all(hit.path != "pkg/pay.py" for hit in found.results)
    with open_index(bench.folder, bench.project.id) as index:
        index.manifest.set_meta(collection=None)
    with pytest.raises(VectorsPending):
        search.related(bench.project, "pkg/pay.py", line=2)


def test_several_projects_answer_as_one(tmp_path, bench, search):
    (tmp_path / "second").mkdir()
    other = Bench(tmp_path / "second", bench.redis_url, bench.chroma_url)
    other.data, other.folder = bench.data, bench.data.project(other.project.id)
    projects = [one.project.model_copy(update={"name": name}) for one, name in ((bench, "one"), (other, "two"))]
    bench.write("pkg/lease.py", "def renew(lease):\n    return lease.owner\n")
    other.write("lib/agreement.py", "def sign(lease):\n    return lease\n")
    for one in (bench, other):
        one.run()
    outcome = search.search_several(projects, "renew the lease of its owner", limit=3)
    assert [(hit.project, hit.path) for hit in outcome.results][:2] == [
        ("one", "pkg/lease.py"),
        ("two", "lib/agreement.py"),
    ]
    assert len(outcome.results) == 3
    assert (outcome.degraded, outcome.gone) == ([], 0)
    (other.tree / "lib/agreement.py").unlink()
    again = search.search_several(projects, "renew the lease of its owner", limit=3)
    assert again.gone == 1
    assert "lib/agreement.py" not in {hit.path for hit in again.results}
