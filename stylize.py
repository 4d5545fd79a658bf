"""Repaint photos in the style of any picture. `python stylize.py --help` tells how."""

import sys

from adain.cli import main

if __name__ == "__main__":
    sys.exit(main(["stylize", *sys.argv[1:]], prog="stylize.py"))
