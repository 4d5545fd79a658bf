"""Train the decoder on photographs and paintings. `python train.py --help` tells how."""

import sys

from adain.cli import main

if __name__ == "__main__":
    sys.exit(main(["train", *sys.argv[1:]], prog="train.py"))
