"""Makes the stores of an index agree again, under the writer's lock; the pass that follows reads what was lost."""

import logging

from muniment.indexing.examining import compare_chunks
from muniment.lexical import LexicalWriter
from muniment.manifest import ManifestWriter

log = logging.getLogger(__name__)


def mend(manifest: ManifestWriter, lexical: LexicalWriter) -> None:
    """Counts anew, takes out of the lexical index what the manifest does not know, and out of both every file that
    they hold differently: the next plan reads it again. Vectors are the vector stage's to compare.
    """
    manifest.recount()  # first: chunks of no file become unknown ones
    found = compare_chunks(manifest.reader, lexical)
    paths = sorted({chunk.path for chunk in found.damaged if chunk.path is not None})
    if not found.unknown and not paths:
        return
    log.warning("%d unknown chunks leave, %d files are read again", len(found.unknown), len(paths))
    # noted as an open batch: a crash from here on is put right by whoever opens the index next
    manifest.begin_batch(paths, 0)
    lexical.delete_chunks([*found.unknown, *(chunk.id for chunk in found.damaged)])
    lexical.delete_paths(paths)
    lexical.commit()
    manifest.forget_interrupted()
    manifest.recount()
