"""One pass over a project, from the scan to the last vector.

At every batch: the control is asked whether to go on, dirty paths are taken first, a checkpoint is written, progress is
told. Whatever stops a pass, the next one plans anew from the manifest and repeats at most the open batch of each stage.
"""

import json
import logging
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import chain, repeat
from pathlib import Path

from muniment.dirty import DirtyPaths
from muniment.embedding import Embedder
from muniment.errors import DiskFull
from muniment.indexing.batches import Batch, BatchLimits, BatchReader
from muniment.indexing.compacting import compact
from muniment.indexing.control import Control, Step
from muniment.indexing.file_log import FileLog
from muniment.indexing.git_head import head_commit
from muniment.indexing.mending import mend
from muniment.indexing.opening import OpenIndex
from muniment.indexing.progress import ProgressMeter
from muniment.indexing.running import RunningPlan
from muniment.indexing.sources import Sources
from muniment.indexing.vector_stage import VectorStage
from muniment.jobs import FileFailure, Job, JobKind, Phase, Progress
from muniment.manifest import LeftOut
from muniment.manifest.writer import REREAD
from muniment.parsing import CONTENT_VERSION, HelperPool
from muniment.planning import FileStamp, Plan, plan, scope
from muniment.process import give_back_memory
from muniment.project import Project, root_labels
from muniment.pushed import PushedFiles
from muniment.redis_client import REDIS_ERRORS
from muniment.scanning import (
    BROUGHT_BACK,
    FAILURES,
    UNSEEN,
    FoundFile,
    Scanner,
    SkippedFile,
    all_skipped,
    away,
    scan_warnings,
)
from muniment.vectors import VectorStore

log = logging.getLogger(__name__)
DIRTY_BATCH = 500
HELPED_FILES = 400  # from so many files on, starting helpers costs less than they save
FIRST_FILES = 100  # of a tree that has more, or takes longer to look at, these are indexed ahead of the plan
FIRST_LOOK_SECONDS = 0.5


@dataclass(frozen=True)
class Limits:
    batch_files: int = 500
    batch_chunks: int = 4000
    max_file_bytes: int = 1_000_000
    first_batch_seconds: float = 0.5  # the first files are searchable at once
    batch_seconds: float = 4.0


@dataclass(frozen=True)
class PassTools:
    dirty: DirtyPaths
    vectors: VectorStore
    embedder: Embedder
    limits: Limits
    helpers: int  # processes that read and cut beside the one that writes; 0: it does all by itself
    now: Callable[[], datetime]
    clock: Callable[[], float] = time.monotonic
    cautious: bool = False  # an attempt at this job killed its process: only helpers may touch a file
    rule_cache: Path | None = None  # where helpers find the compiled rules of the masking


def run_pass(project: Project, job: Job, index: OpenIndex, tools: PassTools, control: Control) -> Progress:
    """Does what the job asks; returns its final counters. Raises what ``control.check`` raises, and MunimentErrors."""
    return _Pass(project, job, index, tools, control).run()


class _Pass:
    def __init__(self, project: Project, job: Job, index: OpenIndex, tools: PassTools, control: Control) -> None:
        self._project, self._job, self._index, self._tools, self._control = project, job, index, tools, control
        self._meter = ProgressMeter(control.report, tools.clock)
        self._file_log = FileLog()
        known_roots = index.manifest.meta().roots
        labels = {label: str(path) for label, path in root_labels(project.watch_paths).items()}
        self._scanner = Scanner(
            project.watch_paths,
            project.watch_patterns,
            project.watch_exclude,
            tools.limits.max_file_bytes,
            {label: known_roots[path] for label, path in labels.items() if path in known_roots},
        )
        self._sources = Sources(self._scanner, PushedFiles(index.folder.pushed))
        self._content_target = index.manifest.content_target(CONTENT_VERSION)
        self._settles = job.request.whole_tree or not index.manifest.meta().incomplete
        self._running = RunningPlan(self._content_target)
        self._vectors = VectorStage(
            index, tools.vectors, tools.embedder, f"{project.id}-{tools.embedder.name}",
            max(1, tools.limits.batch_chunks // 2), control, tools.clock,
        )  # fmt: skip

    def run(self) -> Progress:
        began = self._tools.clock()
        self._control.check()
        self._meter.begin(Phase.SCAN)
        if self._job.repair:
            mend(self._index.manifest, self._index.lexical)
        self._take_dirty()
        if not self._job.request.only_dirty:
            self._index_scope()
        give_back_memory()  # what the plan and its batches took would stay for the whole of the second stage
        self._embed_pending()
        self._meter.begin(Phase.FINISH)
        manifest = self._index.manifest
        if self._settles:
            manifest.settle()
        if self._job.request.whole_tree:
            if not manifest.counters().files_lexical and not manifest.meta().warnings:
                self._warn(list(filter(None, [all_skipped(self._meter.skipped)])))
            finished = self._tools.now().isoformat()
            manifest.set_meta(reconciled_at=finished, reconciled_files=manifest.counters().files_lexical)
        try:
            compact(self._index.lexical, self._tools.clock() - began, self._control.check, self._tools.clock)
        except DiskFull as full:  # everything that was asked for is done
            log.warning("not compacted: %s", full)
        self._control.reached(Step.FINISHED)
        return self._meter.progress()

    # --- first stage ---------------------------------------------------------------------------------------------

    def _index_scope(self) -> None:
        """The job's own paths, or the whole tree."""
        manifest, paths = self._index.manifest, self._job.paths
        began = self._tools.now()
        forced = self._job.kind == JobKind.REINDEX
        target = manifest.begin_reindex(self._job.id) if forced else self._content_target
        known = manifest.stamps_under(paths) if paths else manifest.stamps()
        self._sources.recall_pushed(known)
        commit = next(filter(None, map(head_commit, self._project.watch_paths)), None)
        found = self._sources.look(paths, recursive=self._job.recursive) if paths else self._sources.walk()
        if self._begins_early(known):
            found = self._index_first(found, target)
            known = manifest.stamps()
        inside = scope(paths, recursive=self._job.recursive)
        work = self._planned(known, found, target, inside, paths or None)
        if self._job.request.whole_tree:
            manifest.expect(work.growth, len(work.to_remove))
            manifest.set_meta(settings_of=self._project.updated_at.isoformat())
        else:
            manifest.set_meta(incomplete=1)  # nobody remembers these paths if the job ends before its work
            manifest.expect_more(work.growth)
        failures = [FileFailure(path=item.path or ".", reason=item.reason) for item in work.failed]
        self._meter.planned(work.unchanged + len(work.to_read), work.unchanged, work.skipped, failures)
        self._control.reached(Step.PLANNED)
        self._meter.begin(Phase.LEXICAL)
        reader, promised = self._reading(known, target), frozenset(file.path for file in work.to_read)
        self._running = RunningPlan(target, known, promised, reader)
        self._carry_out(work, reader, self._batch_limits(), between=self._take_dirty)
        self._running = RunningPlan(self._content_target)
        if self._job.request.whole_tree:
            manifest.set_meta(scanned_at=began.isoformat(), commit=commit, roots=json.dumps(self._roots()))
            self._warn(scan_warnings(self._scanner.tally, self._sources.pushed_count()))

    def _begins_early(self, known: dict[str, FileStamp]) -> bool:
        """Whether nothing can be found yet, and nobody was told how much there is."""
        planned = self._index.manifest.meta().settings_of == self._project.updated_at
        return self._job.request.whole_tree and not known and not planned and not self._tools.cautious

    def _index_first(self, seen: Iterator[FoundFile | SkippedFile], target: int) -> Iterator[FoundFile | SkippedFile]:
        """Indexes the first files of a tree that takes long to walk, so that something is found at once. The plan, made
        of all that is returned, has them like any other, and finds them unchanged."""
        limits, clock = self._tools.limits, self._tools.clock
        began = clock()
        first: list[FoundFile | SkippedFile] = []
        files: list[FoundFile] = []
        for item in seen:
            first.append(item)
            if isinstance(item, FoundFile):
                files.append(item)
            if len(files) >= FIRST_FILES or (files and clock() - began >= FIRST_LOOK_SECONDS):
                self._index.manifest.expect(len(files), 0)
                bounds = repeat(BatchLimits(limits.batch_files, limits.batch_chunks, limits.first_batch_seconds))
                self._write(next(self._reading({}, target).batches(files, bounds)))
                break
        return chain(first, seen)

    def _planned(
        self,
        known: dict[str, FileStamp],
        seen: Iterable[FoundFile | SkippedFile],
        target: int,
        in_scope: Callable[[str], bool],
        below: Iterable[str] | None,
    ) -> Plan[FoundFile]:
        found: list[FoundFile] = []
        left: list[SkippedFile] = []
        for count, item in enumerate(seen):
            if count % 1000 == 0:
                self._control.check()
            if isinstance(item, FoundFile):
                found.append(item)
            else:
                left.append(item)
        self._index.manifest.note_left_out(
            (LeftOut(item.path or ".", item.reason, item.reason in FAILURES) for item in left if in_scope(item.path)),
            below,
            in_scope,
        )
        work = plan(
            known,
            found,
            left,
            target=target,
            in_scope=in_scope,
            failing=FAILURES,
            unseen=UNSEEN,
            brought_back=BROUGHT_BACK,
        )
        self._file_log.scanned(found, left, work)
        return work

    def _batch_limits(self) -> Iterator[BatchLimits]:
        limits = self._tools.limits
        first = BatchLimits(limits.batch_files, limits.batch_chunks, limits.first_batch_seconds)
        return chain([first], self._later_limits())

    def _later_limits(self) -> Iterator[BatchLimits]:
        limits = self._tools.limits
        return repeat(BatchLimits(limits.batch_files, limits.batch_chunks, limits.batch_seconds))

    def _reading(self, known: dict[str, FileStamp], target: int) -> BatchReader:
        most = self._tools.limits.max_file_bytes
        return BatchReader(most, target, known, self._control.check, self._tools.clock)

    def _carry_out(
        self,
        work: Plan[FoundFile],
        reader: BatchReader,
        limits: Iterator[BatchLimits],
        between: Callable[[], None],
    ) -> None:
        for start in range(0, len(work.to_remove), DIRTY_BATCH):
            self._control.check()
            self._commit(Batch(removed=work.to_remove[start : start + DIRTY_BATCH]))
        with ExitStack() as stack:
            pool = None
            if self._wants_helpers(len(work.to_read)):
                most = self._tools.limits.max_file_bytes
                pool = stack.enter_context(HelperPool(max(1, self._tools.helpers), most, self._tools.rule_cache))
            for batch in reader.batches(work.to_read, limits, pool, begin_here=not self._tools.cautious):
                self._write(batch)
                between()

    def _wants_helpers(self, files: int) -> bool:
        return files > 0 and (self._tools.cautious or (self._tools.helpers > 0 and files >= HELPED_FILES))

    def _write(self, batch: Batch) -> None:
        self._control.check()
        self._control.reached(Step.BATCH_READ)
        self._commit(batch)

    def _commit(self, batch: Batch) -> None:
        """First checkpoint. The note of the open batch comes first: after a crash in here its files are read again."""
        manifest, lexical = self._index.manifest, self._index.lexical
        rewritten = batch.rewritten
        first_id = manifest.begin_batch(rewritten, batch.chunk_count)
        rows, documents = batch.numbered(first_id)
        self._control.reached(Step.BATCH_NOTED)
        if rewritten:
            lexical.delete_paths(rewritten)
            lexical.add(documents)
            lexical.commit()
        self._control.reached(Step.LEXICAL_COMMITTED)
        manifest.commit_batch(rows, batch.removed)
        self._control.reached(Step.MANIFEST_COMMITTED)
        self._meter.batch_done(batch)
        self._file_log.committed(batch)

    def _roots(self) -> dict[str, tuple[int, int]]:
        """The identity of each root; of one that is away, the one that it had."""
        seen, known = self._scanner.roots_seen, self._index.manifest.meta().roots
        roots = {}
        for label, path in root_labels(self._project.watch_paths).items():
            before = known.get(str(path))
            now = seen[label].identity if label in seen and not away(seen[label], before) else before
            if now is not None:
                roots[str(path)] = now
        return roots

    def _warn(self, warnings: list[str]) -> None:
        self._meter.warn(warnings)
        self._index.manifest.set_meta(warnings=json.dumps(warnings))

    # --- dirty paths ---------------------------------------------------------------------------------------------

    def _take_dirty(self) -> None:
        """Indexes what the watcher noted, and forgets it after the commit, unless it changed again meanwhile."""
        while waiting := self._peek_dirty():
            self._control.check()
            running, known = self._running, self._index.manifest.stamps_under(waiting)
            for path in known.keys() & (waiting.keys() | running.read_ahead()):
                # two writes of one size within one tick of the clock look alike: what was told to be dirty is read
                known[path] = replace(known[path], size=REREAD)
            touched = scope(waiting)
            work = self._planned(known, self._sources.look(waiting), self._content_target, touched, waiting)
            taken = [file.path for file in work.to_read]
            running.outrun(taken, touched)
            promised = sum(path in running.promised and path not in known for path in taken)
            self._index.manifest.expect_more(work.growth - promised)
            self._meter.also_planned(sum(path not in running.promised for path in taken))
            running.forget((*waiting, *work.to_remove, *taken))
            self._carry_out(work, self._reading(known, running.target), self._later_limits(), between=lambda: None)
            if not self._forget_dirty(waiting):
                return

    def _peek_dirty(self) -> dict[str, int]:
        try:
            return self._tools.dirty.peek(self._project.id, DIRTY_BATCH)
        except REDIS_ERRORS as error:
            log.warning("dirty paths of %s wait until Redis is back: %s", self._project.id, error)
            return {}

    def _forget_dirty(self, done: dict[str, int]) -> bool:
        try:
            self._tools.dirty.remove(self._project.id, done)
        except REDIS_ERRORS as error:
            log.warning("dirty paths of %s will be looked at again: %s", self._project.id, error)
            return False
        return True

    # --- second stage --------------------------------------------------------------------------------------------

    def _embed_pending(self) -> None:
        self._vectors.prepare(repair=self._job.repair)
        self._meter.texts_expected(self._index.manifest.vectors.pending_count())
        self._meter.begin(Phase.VECTORS)
        self._vectors.run(self._vectors_marked)
        self._meter.refused(sorted(self._vectors.refused))
        self._file_log.refused(self._vectors.refused)
        self._vectors.finish()

    def _vectors_marked(self, count: int) -> None:
        self._meter.texts_done(count)
        self._take_dirty()
