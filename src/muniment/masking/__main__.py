"""``python -m muniment.masking FOLDER``: compiles the rules into FOLDER, so that no other process has to."""

import sys
from pathlib import Path

from muniment.masking import load_rules

if __name__ == "__main__":
    load_rules(Path(sys.argv[1]))
