"""`python -m touge.alpamayo`: merge an adapter into its base; export what was trained. Prints what was written."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from touge.alpamayo.config import Json
from touge.contract.errors import TougeError
from touge.contract.exit_codes import ExitCode


def main(argv: Sequence[str] | None = None) -> int:
    """Do what is asked; return the exit code."""
    arguments = _parser().parse_args(argv)
    try:
        done = _merge(arguments) if arguments.verb == "merge" else _export(arguments)
    except TougeError as error:
        sys.stderr.write(f"error: {error}\n")
        return error.exit_code
    except OSError as error:
        sys.stderr.write(f"error: {error.filename}: {error.strerror}. Check the path and the space that is left\n")
        return ExitCode.ERROR
    sys.stdout.write(json.dumps({"out": str(arguments.out), **done}) + "\n")
    return ExitCode.OK


def _merge(given: argparse.Namespace) -> Json:
    from touge.alpamayo.weights.release import merge

    return merge(given.base, given.adapter, given.out, backbone=given.backbone, base_digest=given.base_digest)


def _export(given: argparse.Namespace) -> Json:
    from touge.alpamayo.weights.release import ADAPTER_CONFIG, export_adapter, export_checkpoint

    if (given.source / ADAPTER_CONFIG).is_file():
        return export_adapter(given.source, given.out, base_name=given.base_name)
    return export_checkpoint(given.source, given.out, backbone=given.backbone)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m touge.alpamayo", description="Weights out of touge, streamed.")
    verbs = parser.add_subparsers(dest="verb", required=True)
    merge = verbs.add_parser("merge", help="one checkpoint of a base in full precision and an adapter")
    merge.add_argument("--base", type=Path, required=True, help="folder of the checkpoint that was tuned")
    merge.add_argument("--adapter", type=Path, required=True, help="folder of the adapter; also one trained on 4 bits")
    merge.add_argument("--base-digest", help="as the plan names it, of a base that was fetched from s3://")
    export = verbs.add_parser("export", help="a checkpoint as the reference loads it, or an adapter as PEFT does")
    export.add_argument("source", type=Path, help="folder of a trained checkpoint or adapter")
    export.add_argument("--base-name", default="nvidia/Alpamayo-R1-10B", help="what an adapter names as its base")
    for verb in (merge, export):
        verb.add_argument("--out", type=Path, required=True, help="a folder that is not there yet")
        verb.add_argument("--backbone", type=Path, help="folder of the backbone, where a config.json names it only")
    return parser


if __name__ == "__main__":
    sys.exit(main())
