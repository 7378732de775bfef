"""Turns found files into what both stores take: read, masked, cut into chunks, split into words.

``parse_file`` does it here, ``HelperPool`` in processes beside this one, which die with it. A file that kills its
helper is cut by lines by the next one.
"""

from muniment.parsing.parsed import CONTENT_VERSION, ParsedChunk, ParsedFile, ReadRequest, parse_file
from muniment.parsing.pool import HelperPool, default_helpers

__all__ = ["CONTENT_VERSION", "HelperPool", "ParsedChunk", "ParsedFile", "ReadRequest", "default_helpers", "parse_file"]
