"""Command line: ``python -m skdeepcluster demo``."""

import sys

from skdeepcluster._demo import main

if __name__ == "__main__":
    sys.exit(main())
