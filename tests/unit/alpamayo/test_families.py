"""Alpamayo 1.5 beside R1: the same ids under other names, and images that are announced."""

from dataclasses import replace

import pytest
import torch

from touge.alpamayo.config import FAMILIES, R1, V1_5, AlpamayoConfig
from touge.alpamayo.inputs.batches import Encoder
from touge.alpamayo.inputs.prompt import CAMERA_NAMES, labels_of, prompt_hash
from touge.alpamayo.inputs.tokenizer import train_tiny_tokenizer
from touge.alpamayo.inputs.vocabulary import SPECIAL_NAMES, Vocabulary, special_names
from touge.alpamayo.model import AlpamayoR1
from touge.alpamayo.tiny import TinySizes, tiny_document
from touge.alpamayo.weights import checkpoint, lora
from touge.contract.errors import CheckpointError, DataError
from touge.contract.recipe import CAMERAS

SIZES = TinySizes(hidden=48, mlp=64, layers=1, vision_hidden=32, expert_hidden=32, expert_mlp=48, pixels=64 * 32)


def made(family):
    tokenizer = train_tiny_tokenizer(["right curve ahead, Front camera: frame"] * 5)
    return AlpamayoConfig.parse(tiny_document(tokenizer, SIZES, family)), tokenizer


@pytest.fixture
def newer():
    return made(V1_5)


@pytest.fixture
def two_cameras(window):
    """Eight images of two cameras."""
    one = window(1)
    return replace(one, frames=(*one.frames, *window(2).frames), cameras=("front_wide", "front_tele"))


def test_ids_are_the_same_in_both_families():
    first, second = (Vocabulary.of(made(family)[0]) for family in FAMILIES)

    assert first == second


def test_unused_slots_are_called_padding():
    names = special_names(V1_5)

    renamed = {old: new for old, new in zip(SPECIAL_NAMES, names, strict=True) if old != new}
    assert special_names(R1) == SPECIAL_NAMES
    assert list(renamed.values()) == [f"_padding_{number}" for number in range(9)]
    assert {"image_pre_tkn", "meta_action_start", "vectorized_wm_pre_tkn"} <= renamed.keys()
    assert not {"cot_start", "traj_future_start", "route_start", "answer_end"} & renamed.keys()


def test_the_tokenizer_knows_the_names_of_its_family(newer):
    config, tokenizer = newer

    assert tokenizer.token_to_id("<|_padding_0|>") == config.trajectory_start + config.trajectory_vocabulary + 3
    assert tokenizer.token_to_id("<|image_pre_tkn|>") is None


def test_each_image_is_announced_by_camera_and_number(newer, two_cameras):
    config, tokenizer = newer

    example = Encoder(config, tokenizer).generation(two_cameras)

    said = tokenizer.decode(example.input_ids.tolist(), skip_special_tokens=False)
    places = [said.index(label) for label in (
        "user\nFront camera: frame 0 <|vision_start|>", "<|vision_end|>frame 1 <|vision_start|>",
        "<|vision_end|>frame 3 <|vision_start|>", "<|vision_end|>Front telephoto camera: frame 0 <|vision_start|>",
    )]  # fmt: skip
    assert places == sorted(places)
    assert said.count("<|vision_start|>") == said.count("frame ") == 8


def test_r1_s_prompt_has_no_words_between_images(two_cameras):
    config, tokenizer = made(R1)

    example = Encoder(config, tokenizer).generation(two_cameras)

    assert "frame" not in tokenizer.decode(example.input_ids.tolist(), skip_special_tokens=False)


def test_every_camera_of_a_recipe_has_a_name_in_the_same_order():
    assert tuple(CAMERA_NAMES) == CAMERAS


@pytest.mark.parametrize("cameras", [(), ("front_wide", "front_tele", "rear_tele"), ("left",)])
def test_images_of_unknown_cameras_are_refused_where_they_are_named(cameras):
    with pytest.raises(DataError, match=r"8 images of the cameras .*expected equally many of each, of cross_left"):
        labels_of(V1_5, cameras, 8)


def test_the_prompts_of_both_families_have_hashes_of_their_own():
    assert prompt_hash() == prompt_hash(R1) != prompt_hash(V1_5)


@torch.no_grad()
def test_a_checkpoint_of_1_5_is_read_back_and_computes(newer, two_cameras, tmp_path):
    config, tokenizer = newer
    checkpoint.save(AlpamayoR1(config), tokenizer, tmp_path)

    model, words = checkpoint.load(tmp_path)
    batch = Encoder(model.config, words).collate([Encoder(config, tokenizer).training(two_cameras)])
    losses = model.losses(batch, torch.zeros(1, 1, 64, 2), torch.zeros(1, 1))

    assert losses.nll.isfinite().all()
    assert losses.flow.isfinite().all()


def test_an_adapter_of_one_family_is_refused_by_the_other(tmp_path, newer):
    adapter = lora.Adapter(rank=2, alpha=4)
    model = AlpamayoR1(newer[0])
    lora.inject(model, adapter)
    lora.save_adapter(model, adapter, tmp_path, base_digest="abc")

    with pytest.raises(CheckpointError, match="trained on prompt"):
        lora.load_adapter(AlpamayoR1(made(R1)[0]), tmp_path, base_digest="abc")


def test_another_family_is_refused():
    raw = made(R1)[0].raw | {"model_type": "alpamayo_2"}

    with pytest.raises(CheckpointError, match="'alpamayo_2', expected 'alpamayo_r1' or 'alpamayo1_5'"):
        AlpamayoConfig.parse(raw)
