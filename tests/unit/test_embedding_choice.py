"""Which embedder embeds files, and which one still answers for an index that another made."""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from muniment.embedding.cache import CachedEmbedder
from muniment.embedding.choice import EmbedderChoice, FileEmbedders, file_embedder
from muniment.embedding.minilm import MiniLmEmbedder
from muniment.embedding.remote import RemoteEmbedder
from muniment.embedding.static import BUNDLED, StaticEmbedder
from muniment.errors import ModelUnavailable
from muniment.settings import read
from muniment.testing import HashedWordsEmbedder

URL = "http://gpu.example:8080/v1"
KEY = "sk-secret"


@pytest.fixture
def static(tmp_path: Path) -> EmbedderChoice:
    return EmbedderChoice(tmp_path / "vectors", cache_bytes=1_000_000)


@pytest.fixture
def model_folder(tmp_path: Path) -> Path:
    """A static model whose weights differ from the bundled one's."""
    folder = tmp_path / "own-model"
    shutil.copytree(BUNDLED, folder)
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x01")
    return folder


def test_the_settings_choose(tmp_path: Path) -> None:
    settings = read(
        data_dir=tmp_path,
        file_embedder="url",
        embedding_url=URL,
        embedding_model="m",
        embedding_key=KEY,
        embedding_dimensions=256,
        vector_cache_bytes=5,
        static_model=tmp_path,
    )
    choice = EmbedderChoice.of(settings)
    assert choice == EmbedderChoice(
        tmp_path.resolve() / "cache" / "vectors", "url", tmp_path, URL, "m", KEY, 256, cache_bytes=5
    )
    assert KEY not in repr(choice)
    assert hash(choice) == hash(EmbedderChoice.of(settings))


def test_a_static_model_is_never_cached(static: EmbedderChoice, model_folder: Path) -> None:
    bundled = file_embedder(static)
    assert isinstance(bundled, StaticEmbedder)
    assert bundled.source is None
    own = file_embedder(EmbedderChoice(static.cache_folder, static_model=model_folder))
    assert own.source == str(model_folder)
    assert own.name != bundled.name
    with pytest.raises(ModelUnavailable):
        file_embedder(EmbedderChoice(static.cache_folder, static_model=static.cache_folder))


def test_a_costly_one_is_cached_unless_there_is_no_room_for_it(tmp_path: Path) -> None:
    for kind in ("minilm", "url"):
        with_cache = file_embedder(EmbedderChoice(tmp_path, kind, url=URL, model="m", cache_bytes=1))
        without = file_embedder(EmbedderChoice(tmp_path, kind, url=URL, model="m"))
        assert isinstance(with_cache, CachedEmbedder)
        assert isinstance(without, MiniLmEmbedder if kind == "minilm" else RemoteEmbedder)
        assert (with_cache.name, with_cache.source) == (without.name, without.source)


def test_files_are_read_by_minilm_to_their_end_and_memories_keep_their_vectors(tmp_path: Path) -> None:
    files, memories = file_embedder(EmbedderChoice(tmp_path, "minilm")), MiniLmEmbedder()
    assert files.name != memories.name
    short = "one window holds all of this"
    np.testing.assert_array_equal(files.embed([short]), memories.embed([short]))
    filler = "word " * (254 * 4)
    plain, with_fact = files.embed([filler, filler + "and the lease expires"])
    assert not np.array_equal(plain, with_fact)


def test_nothing_costly_is_loaded_before_the_first_text(tmp_path: Path) -> None:
    code = f"""
import sys
from pathlib import Path
from muniment.embedding.choice import EmbedderChoice, FileEmbedders, file_embedder
folder = Path({str(tmp_path / "vectors")!r})
for kind in ("static", "minilm", "url"):
    made = FileEmbedders(EmbedderChoice(folder, kind, url="http://127.0.0.1:9/v1", model="m", cache_bytes=1))
    assert made.configured.name
assert "onnxruntime" not in sys.modules
assert not folder.exists()
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_an_embedder_made_before_a_fork_embeds_after_it(tmp_path: Path) -> None:
    code = f"""
import os
from pathlib import Path
from muniment.embedding.choice import EmbedderChoice, file_embedder
embedder = file_embedder(EmbedderChoice(Path({str(tmp_path)!r}), "minilm", cache_bytes=10_000_000))
for _ in range(2):
    child = os.fork()
    if not child:
        os._exit(0 if embedder.embed(["a text", "another"]).any() else 1)
    assert os.waitpid(child, 0)[1] == 0
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_the_configured_embedder_answers_for_its_own_indexes(static: EmbedderChoice) -> None:
    own = HashedWordsEmbedder()
    embedders = FileEmbedders(static, own)
    assert embedders.configured is own
    assert embedders.for_model(own.name, None) is own


def test_what_comes_with_the_packages_answers_always_and_is_loaded_once(static: EmbedderChoice) -> None:
    embedders = FileEmbedders(static, HashedWordsEmbedder())
    for made in (StaticEmbedder(), MiniLmEmbedder(max_windows=None)):
        found = embedders.for_model(made.name, made.source)
        assert found is not None
        assert found.name == made.name
        assert found is embedders.for_model(made.name, made.source)
    assert embedders.for_model("static-of-another-version-256", None) is None


def test_a_static_folder_answers_while_it_is_there_and_holds_the_same_model(
    static: EmbedderChoice, model_folder: Path
) -> None:
    made = StaticEmbedder(model_folder)
    aside = model_folder.with_name("aside")
    model_folder.rename(aside)
    embedders = FileEmbedders(static)
    assert embedders.for_model(made.name, made.source) is None
    aside.rename(model_folder)
    found = embedders.for_model(made.name, made.source)
    assert found is not None
    np.testing.assert_array_equal(found.embed(["text"]), made.embed(["text"]))
    assert embedders.for_model("own-model-00000000-256", made.source) is None


def test_a_server_answers_by_its_recorded_source(static: EmbedderChoice) -> None:
    made = RemoteEmbedder(URL, "m", dimensions=256)
    embedders = FileEmbedders(static)
    found = embedders.for_model(made.name, made.source)
    assert isinstance(found, CachedEmbedder)
    assert (found.name, found.source) == (made.name, made.source)
    assert embedders.for_model("remote-other", made.source) is None
    assert embedders.for_model(made.name, f"{URL}#nothing") is None


@pytest.mark.parametrize(
    ("other", "key"),
    [
        (URL, KEY),
        ("http://gpu.example:8080/v2", KEY),
        ("http://gpu.example/v1", None),
        ("http://evil.example/v1", None),
    ],
)
def test_the_key_is_told_to_the_server_that_it_is_for_and_to_no_other(
    tmp_path: Path, other: str, key: str | None
) -> None:
    embedders = FileEmbedders(EmbedderChoice(tmp_path, "url", url=URL, model="new", key=KEY))
    former = RemoteEmbedder(other, "old")
    found = embedders.for_model(former.name, former.source)
    assert isinstance(found, RemoteEmbedder)
    assert found._key == key
