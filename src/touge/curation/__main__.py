"""The stages `curate-map` and `curate` as a process: `python -m touge.curation`, started by the controller."""

from __future__ import annotations

import sys

from touge.curation.mapping import curate_map
from touge.curation.merging import curate
from touge.stage import main

if __name__ == "__main__":
    sys.exit(main({"curate-map": curate_map, "curate": curate}))
