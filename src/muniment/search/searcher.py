"""Answers questions about the files of projects, safe for threads."""

import sqlite3
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from muniment.datafolder import DataFolder
from muniment.embedding import Embedder
from muniment.errors import FileNotIndexed, LexicalIndexDamaged, MunimentError
from muniment.lexical import LexicalReader
from muniment.manifest import Counters, IndexMeta, why_unread
from muniment.project import Project
from muniment.pushed import PushedFiles
from muniment.search.asking import Asked, asked, check_limit
from muniment.search.candidates import ranked
from muniment.search.filters import Filters
from muniment.search.freshness import FreshnessCheck
from muniment.search.meaning import VECTOR_PATIENCE, VECTORS_AWAY, ForModel, Meaning, Near
from muniment.search.model import RelatedOutcome, SearchHit, SearchOutcome
from muniment.search.open_indexes import OpenIndexes, Readers
from muniment.search.presenting import made_hits, still_there
from muniment.search.related import related
from muniment.search.several import Evidence, joined
from muniment.vectors import VectorStore

PROJECTS_AT_ONCE: Final = 4


class Search:
    """Searches the files of any project in the data folder."""

    def __init__(
        self,
        folder: DataFolder,
        vectors: VectorStore,
        embedder: Embedder,
        patience: float = VECTOR_PATIENCE,
        for_model: ForModel = lambda _name, _source: None,
    ) -> None:
        """``patience``: seconds that the vectors may take; then the answer is by words alone, and says so.

        ``for_model``: the embedder of an index that another model made, and that answers until the new one is complete.
        """
        self._folder = folder
        self._indexes = OpenIndexes(folder)
        self._meaning = Meaning(vectors, embedder, patience, for_model)
        self._at_once = ThreadPoolExecutor(max_workers=PROJECTS_AT_ONCE, thread_name_prefix="projects")

    def close(self) -> None:
        self._at_once.shutdown(wait=False, cancel_futures=True)
        self._meaning.close()
        self._indexes.close()

    def forget(self, project_id: str) -> None:
        """Closes what is open of a project."""
        self._indexes.forget(project_id)

    def keep_only(self, project_ids: Collection[str]) -> None:
        """Closes what is open of every other project."""
        self._indexes.keep_only(project_ids)

    def counted(self, project_id: str) -> tuple[Counters, IndexMeta] | None:
        """What the manifest of a project says, if it is open; sqlite3.Error if it cannot be read."""
        with self._indexes.using_if_open(project_id) as index:
            return index.manifest.state() if index.manifest is not None else None

    def search(
        self,
        project: Project,
        question: str,
        limit: int = 10,
        path_glob: str | Sequence[str] | None = None,
        language: str | None = None,
        kind: str | None = None,
        context: int = 0,
    ) -> SearchOutcome:
        """The best ``limit`` (1..100) files. Raises InvalidValue; an index that does not exist yet answers nothing.

        ``path_glob``: see ``Filters``; ``language`` and ``kind`` as in the hits; ``context``: lines around each, 0..20.
        """
        taken = asked(question, limit, Filters(path_glob, language, kind), context)
        return self._search(project, taken, hurried=True)[0]

    def search_several(
        self,
        projects: Sequence[Project],
        question: str,
        limit: int = 10,
        path_glob: str | Sequence[str] | None = None,
        language: str | None = None,
        kind: str | None = None,
        context: int = 0,
    ) -> SearchOutcome:
        """The best ``limit`` files of all the projects together; ``several`` says how they compare."""
        taken = asked(question, limit, Filters(path_glob, language, kind), context)
        found = list(self._at_once.map(lambda project: self._search(project, taken, hurried=False), projects))
        outcomes = [outcome for outcome, _ in found]
        return SearchOutcome(
            results=joined([evidence for _, evidence in found], limit),
            gone=sum(outcome.gone for outcome in outcomes),
            notes=_told(projects, [outcome.notes for outcome in outcomes]),
            degraded=_told(projects, [outcome.degraded for outcome in outcomes]),
        )

    def related(
        self, project: Project, path: str, line: int | None = None, symbol: str | None = None, limit: int = 10
    ) -> RelatedOutcome:
        """What is like the chunk at a line, or of a symbol, or like a whole file; the best chunk of each file.

        Raises FileNotIndexed, InvalidValue, VectorsPending, LexicalIndexDamaged, and what ``why_unread`` tells.
        """
        check_limit(limit)
        with self._indexes.using(project.id) as index:
            if index.lacking is not None:
                raise index.lacking
            if index.lexical is None or index.manifest is None:
                raise FileNotIndexed(path, project.name)
            try:
                found = related(index.lexical, index.manifest, self._meaning, project, path, line, symbol)
                check = FreshnessCheck(index.manifest, project, self._pushed(project))
                shown, gone = still_there(index.lexical, check, found.chosen, limit)
            except sqlite3.Error as error:
                raise self._why_unread(project, error) from error
            hits = made_hits(index.lexical, index.manifest, project, shown, {})
            return RelatedOutcome(of=found.place(project), results=hits, gone=gone, degraded=found.degraded)

    def _search(self, project: Project, asked: Asked, *, hurried: bool) -> tuple[SearchOutcome, Evidence]:
        try:
            with self._indexes.using(project.id) as index:
                try:
                    return self._answer(index, project, asked, hurried=hurried)
                except sqlite3.Error as error:
                    by_words = Readers(index.lexical, None, self._why_unread(project, error))
                    return self._answer(by_words, project, asked, hurried=hurried)
        except LexicalIndexDamaged as error:
            # every text lies there: without it there is nothing to show
            self._indexes.forget(project.id)
            return SearchOutcome(degraded=[str(error)]), Evidence([])

    def _answer(
        self, index: Readers, project: Project, asked: Asked, *, hurried: bool
    ) -> tuple[SearchOutcome, Evidence]:
        if index.lexical is None:
            return SearchOutcome(), Evidence([])
        degraded = [str(index.lacking)] if index.lacking is not None else []
        around = _Around(self._meaning, index, project, asked, hurried=hurried)
        found = ranked(index.lexical, index.manifest, asked, around)
        degraded += around.away
        check = FreshnessCheck(index.manifest, project, self._pushed(project))
        shown, gone = still_there(index.lexical, check, found.chosen, asked.limit)
        hits = made_hits(index.lexical, index.manifest, project, shown, found.matching, asked.context)
        outcome = SearchOutcome(results=hits, gone=gone, notes=found.notes, degraded=degraded)
        # of one project alone there is nothing to compare
        return outcome, Evidence([]) if hurried else _evidence(index.lexical, asked, hits, around.near)

    def _why_unread(self, project: Project, error: sqlite3.Error) -> MunimentError:
        return why_unread(self._folder.project(project.id).manifest, error)

    def _pushed(self, project: Project) -> PushedFiles:
        return PushedFiles(self._folder.project(project.id).pushed)


class _Around:
    """What lies near a question by meaning, being asked for from the moment this is made; called, it waits for it."""

    def __init__(self, meaning: Meaning, index: Readers, project: Project, asked: Asked, *, hurried: bool) -> None:
        self.near: Near | None = None
        self.away: list[str] = []  # why the vectors have no part
        self._pending: Callable[[], Near | None] | None = None
        if not asked.tokens:
            return
        try:
            self._pending = meaning.asked(index, project, asked.question.text, asked.filters, hurried=hurried)
        except VECTORS_AWAY as error:
            self.away.append(str(error))

    def __call__(self) -> Near | None:
        if self._pending is not None:
            try:
                self.near = self._pending()
            except VECTORS_AWAY as error:
                self.away.append(str(error))
        return self.near


def _evidence(lexical: LexicalReader, asked: Asked, hits: Sequence[SearchHit], near: Near | None) -> Evidence:
    similarities: dict[str, float] = {}
    for candidate in near.candidates if near is not None else ():
        similarities.setdefault(candidate.path, candidate.score)
    model = near.model if near is not None else None
    return Evidence(hits, lexical.frequencies(asked.words), lexical.num_chunks, model, similarities)


def _told(projects: Sequence[Project], reasons: Sequence[Sequence[str]]) -> list[str]:
    """Each reason once, with the projects that it holds for unless it holds for all."""
    holds_for: dict[str, list[str]] = {}
    for project, told in zip(projects, reasons, strict=True):
        for reason in told:
            holds_for.setdefault(reason, []).append(project.name)
    return [
        reason if len(names) == len(projects) else f"[{', '.join(names)}] {reason}"
        for reason, names in holds_for.items()
    ]
