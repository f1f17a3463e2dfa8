"""What a frozen vision tower says, computed once."""

import pytest
import torch

from touge.training.features import GROUP, compute_features
from touge.training.ranks import Ranks


def never():
    return False


def computed(model, inputs, needed, **changes):
    return compute_features(model, inputs, needed, **{"ranks": Ranks(), "stopping": never} | changes)


def test_features_do_not_depend_on_which_samples_are_needed(model, world):
    world.curate(count=GROUP + 4)
    inputs = world.inputs()

    everything = computed(model, inputs, range(GROUP + 4)).features
    late = computed(model, inputs, [GROUP + 3]).features

    assert set(range(GROUP, GROUP + 4)) == set(late)
    assert all(torch.equal(late[index].embeddings, everything[index].embeddings) for index in late)
    assert all(torch.equal(late[index].deepstack[0], everything[index].deepstack[0]) for index in late)


def test_features_of_different_samples_differ(model, inputs):
    features = computed(model, inputs, range(8)).features

    assert not torch.allclose(features[0].embeddings, features[1].embeddings)


def test_neighbours_that_nobody_needs_may_be_without_words(model, world):
    world.curate(changes={number: {"reasoning": None} for number in range(1, 8)})

    assert 0 in computed(model, world.inputs(), [0]).features


def test_a_data_set_that_does_not_fit_is_left_to_the_live_tower(model, inputs):
    size = sum(
        level.numel() * level.element_size()
        for one in computed(model, inputs, range(8)).features.values()
        for level in (one.embeddings, *one.deepstack)
    )

    assert computed(model, inputs, range(8), limit=size) is not None
    assert computed(model, inputs, range(8), limit=size - 1) is None


def test_what_does_not_fit_is_known_before_the_tower_runs(model, inputs):
    model.vlm.model.visual.to("meta")

    assert computed(model, inputs, range(8), limit=1) is None
    with pytest.raises((RuntimeError, NotImplementedError)):
        computed(model, inputs, range(8))


def test_a_stop_ends_the_computation(model, inputs):
    assert computed(model, inputs, range(8), stopping=lambda: True) is None
