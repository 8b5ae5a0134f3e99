"""The same as ``captioner compare``: ``python scripts/compare_cells.py --help``."""

import sys

from captioner.cli.main import main

if __name__ == "__main__":
    main(["compare", *sys.argv[1:]])
