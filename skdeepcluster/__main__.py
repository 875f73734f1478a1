"""Command line: ``python -m skdeepcluster``."""

import sys

from skdeepcluster._cli import main

if __name__ == "__main__":
    sys.exit(main())
