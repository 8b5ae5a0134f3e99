"""The same as ``captioner attend``: ``python scripts/render_attention.py --help``."""

import sys

from captioner.cli.main import main

if __name__ == "__main__":
    main(["attend", *sys.argv[1:]])
