"""Windows to batches."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from touge.alpamayo.inputs.images import PatchGrid, negative, normalised, patches
from touge.alpamayo.inputs.prompt import prompt_hash
from touge.alpamayo.inputs.trajectory_tokens import action_of
from touge.contract.errors import DataError


def test_the_answer_is_what_is_learnt(encoder, tokenizer, window):
    example = encoder.training(window(1))

    learnt = tokenizer.decode(example.input_ids[example.reasoning].tolist(), skip_special_tokens=False)
    assert learnt == "<|cot_start|>Right curve ahead, slow down and follow it.<|cot_end|>"
    assert int((example.labels & ~example.reasoning).sum()) == 1 + 128 + 2


def test_rows_of_different_length_are_padded_left_and_share_the_prefix(encoder, window):
    batch = encoder.collate([encoder.training(window(1)), encoder.training(window(2, text="Keep going straight."))])

    starts = (batch.input_ids == encoder.vocabulary.future_start).int().argmax(dim=1)
    assert [batch.prefix - 1] * 2 == starts.tolist()
    assert not batch.attention_mask[:, 0].all()
    assert batch.attention_mask[:, -1].all()


def test_no_placeholder_is_left_in_training(encoder, window):
    example = encoder.training(window(1))

    assert not torch.isin(
        example.input_ids, torch.tensor([encoder.vocabulary.history, encoder.vocabulary.future])
    ).any()


def test_a_trajectory_survives_action_and_back(encoder, window):
    example = encoder.training(window(1))

    space, history = encoder.action_space, example.history[None]
    driven = space.to_trajectory(example.action[None], history[..., :2], history[..., 3])[0]

    np.testing.assert_allclose(driven.numpy(), window(1).future, atol=0.05)


def test_future_tokens_say_the_action_to_half_a_bin(encoder, window):
    example, config = encoder.training(window(1)), encoder.config.future_tokens
    bins = example.input_ids[-130:-2] - encoder.vocabulary.trajectory_start

    error = (action_of(bins[None], config)[0] - example.action).abs().max()

    assert error <= 10 / (config.num_bins - 1) + 1e-6


def test_any_script_can_be_written(tokenizer):
    text = "右カーブ、Grüße 🏔"

    assert text == tokenizer.decode(tokenizer.encode(text, add_special_tokens=False).ids)


@pytest.mark.parametrize("part", ["future", "reasoning"])
def test_a_window_without_an_answer_cannot_be_trained_on(encoder, part, window):
    with pytest.raises(DataError, match="drive@1"):
        encoder.training(replace(window(1), **{part: None}))


def test_a_frame_of_another_size_is_refused(encoder, window):
    frames = (np.zeros((40, 64, 3), np.uint8),) * 4

    with pytest.raises(DataError, match="64x40"):
        encoder.generation(replace(window(1), frames=frames))


def test_patches_hold_each_pixel_twice_in_minus_one_to_one():
    frame = np.arange(32 * 64 * 3, dtype=np.uint32).reshape(32, 64, 3).astype(np.uint8)
    cut, grid = patches([frame], PatchGrid(patch=16, temporal=2, merge=2, min_pixels=1, max_pixels=10**6))

    assert grid.tolist() == [[1, 2, 4]]
    assert (cut.shape, cut.dtype) == ((8, 3 * 16 * 16), torch.uint8)
    cut = normalised(cut, 2, torch.float32)
    top_left = cut[0].reshape(3, 2, 16, 16)
    expected = torch.from_numpy(frame[:16, :16].astype(np.float32) / 127.5 - 1).permute(2, 0, 1)
    assert torch.equal(top_left[:, 0], expected)
    assert torch.equal(top_left[:, 1], expected)
    torch.testing.assert_close(
        cut[2].reshape(3, 2, 16, 16)[:, 0],
        torch.from_numpy(frame[16:32, :16].astype(np.float32) / 127.5 - 1).permute(2, 0, 1),
    )


def test_the_negative_of_pixels_is_their_opposite_before_and_after_they_are_normalised():
    pixels = torch.arange(256, dtype=torch.uint8).repeat(3)[None]
    before, after = normalised(negative(pixels), 1, torch.float32), negative(normalised(pixels, 1, torch.float32))

    torch.testing.assert_close(before, after)


def test_the_prompt_has_a_stable_hash():
    assert len(prompt_hash()) == 16
    assert prompt_hash() == prompt_hash()
