"""`python -m controller` with stages that only pretend to work (see `fake_stage`)."""

from __future__ import annotations

import sys
from pathlib import Path

from controller.cli.app import log_to_stderr, main
from controller.cli.verb import Tools
from touge.contract.plan import STAGE_NAMES

FAKE_STAGE = (sys.executable, str(Path(__file__).with_name("fake_stage.py")))

if __name__ == "__main__":
    log_to_stderr(sys.argv[1:])
    tools = Tools(program=(sys.executable, __file__), commands=dict.fromkeys(STAGE_NAMES, FAKE_STAGE))
    sys.exit(main(sys.argv[1:], tools))
