"""`python -m adain` is the `adain` command."""

import sys

from adain.cli import main

if __name__ == "__main__":
    sys.exit(main())
