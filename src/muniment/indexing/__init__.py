"""Carries out an indexing pass: scan, plan, then two stages of batches, lexical ahead and vectors behind.

The worker calls ``run_pass`` inside ``open_index``, which holds the project's ``flock`` for as long as it lives.
"""

from muniment.indexing.control import Control, Step
from muniment.indexing.opening import OpenIndex, open_index
from muniment.indexing.passing import Limits, PassTools, run_pass

__all__ = ["Control", "Limits", "OpenIndex", "PassTools", "Step", "open_index", "run_pass"]
