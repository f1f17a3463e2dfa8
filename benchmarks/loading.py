"""What loading the release takes, in bfloat16 and in 4 bits: `python benchmarks/loading.py FOLDER [--layers N]`.

Makes a checkpoint of the release's size with random weights in FOLDER (22 GB), unless one is there, and loads it onto
the GPU, or the CPU where there is none, in a process of its own each time: first with nothing of it in the page cache,
then again. Prints a JSON row a load: seconds, and peaks of the host's and the GPU's memory. A load that fails is a row
that says so.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from touge.alpamayo.config import AlpamayoConfig
from touge.alpamayo.inputs.prompt import ASKING, OPENING
from touge.alpamayo.inputs.tokenizer import train_tiny_tokenizer
from touge.alpamayo.model import AlpamayoR1
from touge.alpamayo.tiny import TinySizes, tiny_document
from touge.alpamayo.weights import checkpoint
from touge.alpamayo.weights.quantisation import parameter_count
from touge.alpamayo.weights.shards import Spec, weight_files, write_shards
from touge.contract.errors import CheckpointError

#: Of all weights at full size (spec of the release).
PARAMETERS, VOCABULARY, LAYERS = 11_082_495_218, 155_697, 36
_POOL = 1 << 24


def main() -> int:
    """Print a row for each load; return 1 if one failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--layers", type=int, default=LAYERS, help="of language model and expert")
    parser.add_argument("--weights", choices=["bf16", "nf4"], nargs="+", default=["bf16", "nf4"])
    parser.add_argument("--one", choices=["bf16", "nf4"], help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(loaded(arguments.folder, four_bit=arguments.one == "nf4")))
        return 0
    try:
        made = make(arguments.folder, arguments.layers)
    except (CheckpointError, OSError, RuntimeError) as error:
        print(json.dumps({"row": "make", "error": f"{type(error).__name__}: {error}"}))
        return 1
    print(json.dumps({"row": "make", **made}), flush=True)
    rows = [row(arguments.folder, weights, cold) for weights in arguments.weights for cold in (True, False)]
    return int(any("error" in found for found in rows))


def make(folder: Path, layers: int) -> dict[str, Any]:
    """Write a checkpoint of random weights, unless one is there; returns what it is."""
    began = time.monotonic()
    if not (folder / checkpoint.CONFIG).is_file():
        folder.mkdir(parents=True, exist_ok=True)
        tokenizer = train_tiny_tokenizer([OPENING + ASKING] * 8)
        config = AlpamayoConfig.parse(document(tokenizer, layers))
        with torch.device("meta"):
            parameters = dict(AlpamayoR1(config).named_parameters())
        specs = {name: Spec(tuple(p.shape), torch.bfloat16) for name, p in parameters.items()}
        noise = torch.randn(_POOL, generator=torch.Generator().manual_seed(0)).mul_(0.02).bfloat16()
        write_shards(folder, specs, lambda name: filled(specs[name], noise, ones="norm" in name))
        tokenizer.save(str(folder / "tokenizer.json"))
        (folder / checkpoint.CONFIG).write_text(json.dumps(config.raw), encoding="utf-8")
    files = weight_files(folder)
    size = sum(path.stat().st_size for path in files)
    return {"files": len(files), "gb": round(size / 1e9, 3), "seconds": round(time.monotonic() - began, 1)}


def filled(spec: Spec, noise: Tensor, *, ones: bool) -> Tensor:
    """Return a tensor of ones, or of the same noise over and over."""
    if ones:
        return torch.ones(spec.shape, dtype=spec.dtype)
    count = spec.size // spec.dtype.itemsize
    return noise.repeat(-(-count // len(noise)))[:count].view(spec.shape)


def document(tokenizer: Any, layers: int) -> dict[str, Any]:
    """Return `config.json` of the release's shapes; the words that the tokenizer lacks have embeddings all the same."""
    found = tiny_document(tokenizer, TinySizes(future_bins=3000, history_bins=1000, flow_steps=10, pixels=576 * 320))
    backbone = found["vlm_config"]
    text, vision = backbone["text_config"], backbone["vision_config"]
    text |= {
        "head_dim": 128, "hidden_size": 4096, "intermediate_size": 12288, "num_attention_heads": 32,
        "num_hidden_layers": layers, "num_key_value_heads": 8, "rope_theta": 5_000_000,
        "rope_scaling": {"rope_type": "default", "mrope_interleaved": True, "mrope_section": [24, 20, 20]},
    }  # fmt: skip
    deepstack = [index for index in (8, 16, 24) if index < layers] or [0]
    vision |= {
        "deepstack_visual_indexes": deepstack, "depth": min(27, 27 * layers // LAYERS + 1), "hidden_size": 1152,
        "intermediate_size": 4304, "num_heads": 16, "num_position_embeddings": 2304, "out_hidden_size": 4096,
    }  # fmt: skip
    expert = {"hidden_size": 2048, "intermediate_size": 8256, "num_attention_heads": 16, "head_dim": 128}
    projection = found["action_in_proj_cfg"] | {"hidden_size": 1024, "max_freq": 100.0}
    return found | {
        "vlm_config": backbone,
        "model_dtype": "bfloat16",
        "vocab_size": VOCABULARY,
        "expert_cfg": expert,
        "action_in_proj_cfg": projection,
    }


def row(folder: Path, weights: str, cold: bool) -> dict[str, Any]:  # noqa: FBT001 - a column of the table
    """Load in a process of its own and print how it went."""
    if cold:
        forget(folder)
    command = [sys.executable, __file__, str(folder), "--one", weights]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    found = {"row": "load", "weights": weights, "page_cache": "cold" if cold else "warm"}
    if done.returncode:
        found["error"] = (done.stderr.strip().splitlines() or [f"ended with {done.returncode}"])[-1]
    else:
        found |= json.loads(done.stdout.splitlines()[-1])
    print(json.dumps(found), flush=True)
    return found


def forget(folder: Path) -> None:
    """Ask the kernel to drop a checkpoint's files from the page cache; what is not written yet is written first."""
    for path in weight_files(folder):
        with path.open("rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def loaded(folder: Path, *, four_bit: bool) -> dict[str, Any]:
    """Load, and return seconds and peaks in GiB; the host's are those of the whole process, and before the load."""
    gpu = torch.cuda.is_available()
    device = torch.device("cuda" if gpu else "cpu")
    torch.zeros(1, device=device)
    before, began = host_peak(), time.monotonic()
    model, _ = checkpoint.load(folder, dtype=torch.bfloat16, device=device, four_bit=four_bit)
    if gpu:
        torch.cuda.synchronize()
    seconds = time.monotonic() - began
    count = sum(map(parameter_count, model.parameters()))
    return {
        "device": torch.cuda.get_device_name() if gpu else platform.processor() or platform.machine(),
        "seconds": round(seconds, 2),
        "host_peak_gib": host_peak(),
        "host_peak_before_gib": before,
        "gpu_peak_gib": gib(torch.cuda.max_memory_allocated()) if gpu else None,
        "gpu_held_gib": gib(torch.cuda.memory_allocated()) if gpu else None,
        "parameters": count,
        "full_size": count == PARAMETERS,
        "model_gib": gib(sum(p.nbytes for p in model.parameters())),
        "torch": torch.__version__,
    }


def host_peak() -> float:
    """Return the largest resident memory of this process so far, GiB."""
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines())
    return gib(int(status["VmHWM"].split()[0]) * 1024)


def gib(size: int) -> float:
    """Return bytes in GiB."""
    return round(size / 2**30, 3)


if __name__ == "__main__":
    sys.exit(main())
