"""What the Kubernetes client costs each command: `python benchmarks/client_import.py [--times N]`.

Imports it in new processes, by turns as it comes and through `controller.runners.kubernetes.connection`, which defers
what it does not use, and prints a JSON row for each: seconds from start to end, memory, modules of the client.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from statistics import median

WAYS = {
    "nothing": "",
    "as it comes": "import kubernetes",
    "deferred": "import controller.runners.kubernetes.connection",
}
_TOLD = """
import json, resource, sys
print(json.dumps([
    resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    sum(name.partition(".")[0] == "kubernetes" for name in sys.modules),
]))
"""


def main() -> int:
    """Print a row for each way."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=15, help="processes of each way")
    times = parser.parse_args().times
    taken: dict[str, list[tuple[float, float, int]]] = {way: [] for way in WAYS}
    for _ in range(times):
        for way, statement in WAYS.items():
            taken[way].append(measured(statement))
    for way, rows in taken.items():
        seconds, mib, modules = zip(*rows, strict=True)
        print(json.dumps({"way": way, "median_s": round(median(seconds), 3), "shortest_s": round(min(seconds), 3),
                          "mib": round(median(mib), 1), "modules": modules[0]}))  # fmt: skip
    return 0


def measured(statement: str) -> tuple[float, float, int]:
    """Run a statement in a new process; return its seconds, the most memory (MiB) and the client's modules."""
    began = time.monotonic()
    done = subprocess.run([sys.executable, "-c", statement + _TOLD], check=True, capture_output=True, text=True)
    mib, modules = json.loads(done.stdout)
    return time.monotonic() - began, mib, modules


if __name__ == "__main__":
    sys.exit(main())
