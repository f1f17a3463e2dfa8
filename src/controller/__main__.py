"""`python -m controller`."""

from __future__ import annotations

import sys

from controller.cli.app import log_to_stderr, main

if __name__ == "__main__":
    log_to_stderr(sys.argv[1:])
    sys.exit(main(sys.argv[1:]))
