"""A tiny model with random weights, its tokenizer, and windows on a bend."""

from pathlib import Path

import numpy as np
import pytest
import torch

from touge.alpamayo.config import AlpamayoConfig
from touge.alpamayo.inputs.batches import Encoder, Window
from touge.alpamayo.inputs.tokenizer import train_tiny_tokenizer
from touge.alpamayo.model import AlpamayoR1
from touge.alpamayo.tiny import TinySizes, tiny_document

TEXTS = ("Right curve ahead, slow down and follow it.", "この先左カーブ、減速します。", "Keep going straight.")
SIZES = TinySizes(hidden=48, mlp=64, layers=2, vision_hidden=32, expert_hidden=32, expert_mlp=48, pixels=64 * 32)


@pytest.fixture(scope="session")
def config_and_tokenizer():
    tokenizer = train_tiny_tokenizer(TEXTS * 5)
    return AlpamayoConfig.parse(tiny_document(tokenizer, SIZES)), tokenizer


@pytest.fixture
def tokenizer(config_and_tokenizer):
    return config_and_tokenizer[1]


@pytest.fixture
def model(config_and_tokenizer):
    torch.manual_seed(0)
    return AlpamayoR1(config_and_tokenizer[0]).eval()


@pytest.fixture
def encoder(config_and_tokenizer):
    return Encoder(*config_and_tokenizer)


def _window(number, curvature=0.004, text=TEXTS[0]):
    """Ten metres a second along an arc."""
    pictures = np.random.default_rng(number)
    s = np.arange(1, 65) * 1.0
    yaw = curvature * s
    future = np.stack([np.sin(yaw) / curvature, (1 - np.cos(yaw)) / curvature, yaw], axis=1)
    history = np.zeros((16, 4))
    history[:, 0] = np.linspace(-15, 0, 16)
    frames = tuple(pictures.integers(0, 256, (32, 64, 3), dtype=np.uint8) for _ in range(4))
    return Window(f"drive@{number}", frames, history, future, text)


@pytest.fixture
def window():
    """Make a window by number, curvature and text."""
    return _window


@pytest.fixture(params=["a", "b"])
def golden_case(request):
    """A checkpoint that the reference code wrote, with and without its buffers."""
    return Path(__file__).parents[2] / "golden_model" / "cases" / request.param
