"""A tree, the folder of its index, and the means to run passes over them, here or in a process that is killed."""

import dataclasses
import json
import secrets
import shutil
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pass_process as runner

from muniment.datafolder import DataFolder
from muniment.indexing import open_index, run_pass
from muniment.jobs import JobKind
from muniment.lexical import LexicalReader
from muniment.manifest import ManifestReader
from muniment.search import Filters
from muniment.sqlite import connect
from muniment.testing import HashedWordsEmbedder, render_index

RUNNER = Path(runner.__file__)
NO_FILTERS = Filters()


class Bench:
    """A tree, an index folder and the means to run passes over them."""

    def __init__(self, tmp_path, redis_url, chroma_url):
        self.tree = tmp_path / "tree"
        self.tree.mkdir()
        self.redis_url, self.chroma_url = redis_url, chroma_url
        self.project = runner.make_project(self.tree, id=f"demo-{secrets.token_hex(4)}")
        self.data = DataFolder(tmp_path)
        self.folder = self.data.project(self.project.id)
        self.embedder = HashedWordsEmbedder(32)
        self.tools = runner.make_tools(redis_url, chroma_url, embedder=self.embedder)
        self.vectors = self.tools.vectors

    def use(self, **tools):
        """Other tools for the passes from now on: ``embedder``, ``helpers``, ``limits``..."""
        self.tools = dataclasses.replace(self.tools, **tools)
        self.embedder = self.tools.embedder

    def write(self, path, text):
        target = self.tree / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(text if isinstance(text, bytes) else text.encode())

    def run(self, kind=JobKind.RECONCILE, paths=(), job_id="job-1", control=None, tools=None, repair=False):
        control = control or runner.KillAt(None)
        job = runner.make_job(kind, paths, job_id, repair)
        self.folder.path.mkdir(parents=True, exist_ok=True)
        with open_index(self.folder, self.project.id) as index:
            return run_pass(self.project, job, index, tools or self.tools, control)

    def run_in_a_process(self, step=None, nth=1, **more):
        given = more | {
            "tree": str(self.tree), "folder": str(self.folder.path), "redis": self.redis_url,
            "chroma": self.chroma_url, "step": step, "nth": nth, "project_id": self.project.id,
        }  # fmt: skip
        return subprocess.run([sys.executable, str(RUNNER), json.dumps(given)], check=False, timeout=120).returncode

    def collection(self, embedder):
        return f"{self.project.id}-{embedder.name}"

    def wipe(self):
        """Back to before the first pass."""
        shutil.rmtree(self.folder.path)
        self.vectors.drop(self.collection(self.embedder))

    def text_of(self, path):
        """Everything that is indexed of one file."""
        with closing(connect(self.folder.manifest)) as db:
            rows = db.execute(
                "SELECT c.id FROM chunks c JOIN files f ON f.id = c.file_id WHERE f.path = ? ORDER BY c.id", (path,)
            ).fetchall()
        texts = LexicalReader.open(self.folder.lexical).texts([row["id"] for row in rows])
        return "".join(texts[row["id"]] for row in rows)

    def state(self):
        return render_index(self.folder, self.vectors)

    def find(self, question):
        reader = LexicalReader.open(self.folder.lexical)
        return [hit.path for hit in reader.search(question, 10, path_glob=None, language=None, kind=None)]

    def meta(self):
        reader = ManifestReader.open(self.folder.manifest)
        try:
            return reader.meta()
        finally:
            reader.close()

    def counters(self):
        reader = ManifestReader.open(self.folder.manifest)
        try:
            return reader.counters()
        finally:
            reader.close()


class Interfere(runner.KillAt):
    """Does something once at the given steps: ``{(step, nth): action}``."""

    def __init__(self, actions):
        super().__init__(None)
        self.actions = actions

    def reached(self, step):
        super().reached(step)
        action = self.actions.get((step, self.seen[step]))
        if action:
            action()
