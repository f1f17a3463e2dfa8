"""The input of each step."""

import threading
from dataclasses import replace

import pytest
import torch
from tiny_training import feed_of, settings

from touge.contract.errors import DataError
from touge.training.features import compute_features
from touge.training.ranks import Ranks
from touge.training.step import Totals

SMALL = settings(batch_size=2, gradient_accumulation=2, steps=20)


def same(first, second):
    parts = zip(first.parts, second.parts, strict=True)
    return first.ids == second.ids and all(
        torch.equal(a.input_ids, b.input_ids) and torch.equal(a.pixels, b.pixels) and torch.equal(c.noise, d.noise)
        for (a, c), (b, d) in parts
    )


def test_a_step_follows_from_its_number_alone(inputs):
    feed = feed_of(inputs, SMALL)

    with_history = list(feed.steps(0, 6))

    assert [0, 1, 2, 3, 4, 5] == [given.step for given in with_history]
    assert all(same(given, feed_of(inputs, SMALL).step(given.step)) for given in with_history)
    assert all(same(a, b) for a, b in zip(with_history[4:], feed.steps(4, 6), strict=True))


def test_the_steps_of_an_epoch_bring_every_sample_once(inputs):
    feed = feed_of(inputs, SMALL)

    for first in (0, 2):
        epoch = [index for step in (first, first + 1) for part in feed.indices(step) for index in part]
        assert list(range(8)) == sorted(epoch)


def test_two_ranks_get_the_micro_batches_of_one_process_between_them(inputs):
    alone = feed_of(inputs, settings(batch_size=4, gradient_accumulation=2))
    pair = [feed_of(inputs, settings(batch_size=2, gradient_accumulation=2), rank, 2) for rank in (0, 1)]

    for step in range(4):
        whole = alone.indices(step)
        first, second = (feed.indices(step) for feed in pair)
        assert whole == [a + b for a, b in zip(first, second, strict=True)]


def test_totals_count_labels_and_samples_of_all_micro_batches(inputs):
    given = feed_of(inputs, SMALL).step(0)

    labels = sum(int(batch.labels.sum()) for batch, _ in given.parts)
    assert given.totals == Totals(labels, 4)
    assert len(given.ids) == 4


def test_micro_batches_draw_for_their_own_samples(inputs):
    feed = feed_of(inputs, replace_seed := settings(batch_size=8, steps=2))

    by_sample = [dict(zip(b.ids, d.noise, strict=True)) for b, d in (feed.step(0).parts[0], feed.step(1).parts[0])]

    assert replace_seed.flow_draws == 2
    assert by_sample[0].keys() == by_sample[1].keys()
    assert not any(torch.equal(by_sample[0][name], by_sample[1][name]) for name in by_sample[0])


def test_a_damaged_frame_ends_the_feed_with_its_name(world):
    world.curate()
    shard = next((world.root / "store").rglob("*.tar"))
    shard.write_bytes(shard.read_bytes().replace(b"JFIF", b"jfif"))

    with pytest.raises(DataError, match="differs from the row's sha256"):
        list(feed_of(world.inputs(), SMALL).steps(0, 2))


def test_a_feed_that_is_closed_early_leaves_no_thread(inputs):
    steps = feed_of(inputs, SMALL).steps(0, 20)
    next(steps)

    steps.close()

    assert not [thread for thread in threading.enumerate() if thread.name.startswith("feed")]


@torch.no_grad()
def test_known_vision_features_give_the_losses_of_pixels(model, inputs):
    live = feed_of(inputs, SMALL)
    features = compute_features(model, inputs, range(8), ranks=Ranks(), stopping=lambda: False)

    for (pixels, draws), (known, _) in zip(
        live.step(0).parts, replace(live, features=features).step(0).parts, strict=True
    ):
        expected = model.losses(pixels, draws.noise, draws.time)
        found = model.losses(known, draws.noise, draws.time)
        assert known.pixels is None
        torch.testing.assert_close(found.nll, expected.nll, rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(found.flow, expected.flow, rtol=1e-4, atol=1e-4)


def test_a_step_tells_how_long_it_was_waited_for(inputs):
    now = iter(range(100))

    waited = [given.waited_s for given in replace(feed_of(inputs, SMALL), clock=lambda: next(now)).steps(0, 3)]

    assert waited == [1, 1, 1]


def test_pixels_are_handed_over_as_bytes(inputs):
    batch, _ = feed_of(inputs, SMALL).step(0).parts[0]

    assert batch.pixels.dtype is torch.uint8
    assert batch.pixels.numel() == len(batch.ids) * 4 * 32 * 64 * 3


def test_another_light_follows_from_the_step_alone(inputs):
    lit = settings(batch_size=2, gradient_accumulation=2, augmentation={"contrast": 0.5, "noise": 0.1})

    plain, first, second = (feed_of(inputs, one).step(0) for one in (SMALL, lit, lit))

    assert same(first, second)
    assert not torch.equal(plain.parts[0][0].pixels, first.parts[0][0].pixels)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="pinned memory needs a GPU")
def test_batches_for_a_gpu_are_pinned(inputs):
    batch, draws = replace(feed_of(inputs, SMALL), pin=True).step(0).parts[0]

    assert batch.pixels.is_pinned()
    assert draws.noise.is_pinned()
