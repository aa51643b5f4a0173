"""Entry of `python -m scripts.stack`."""

import sys

from scripts.stack.cli import main

sys.exit(main(sys.argv[1:]))
