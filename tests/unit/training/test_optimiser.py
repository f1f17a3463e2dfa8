"""AdamW, its schedule, and the average of the weights."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tiny_training import settings
from torch import nn

from touge.training.optimiser import Average, build_optimiser, clip, learning_rate, total_norm, tower_of


def weights():
    torch.manual_seed(0)
    return {"matrix": nn.Parameter(torch.randn(3, 2)), "vector": nn.Parameter(torch.randn(3))}


def built(given_weights, **changes):
    """Return the optimiser of a training, at its peak rate."""
    return build_optimiser(given_weights, settings(**changes))


@pytest.mark.parametrize(
    ("step", "rate"),
    [(0, 0.25), (1, 0.5), (3, 1.0), (4, 1.0), (6, 0.85355339), (8, 0.5), (10, 0.14644661), (12, 0.0)],
)
def test_the_rate_warms_up_linearly_and_falls_as_half_a_cosine(step, rate):
    assert learning_rate(step, peak=1.0, warmup=4, steps=12) == pytest.approx(rate, abs=1e-8)


def test_without_warm_up_the_first_step_has_the_peak_rate():
    assert learning_rate(0, peak=3.0, warmup=0, steps=1) == 3.0


@given(step=st.integers(0, 1999), warmup=st.integers(0, 3000), steps=st.integers(1, 2000), peak=st.floats(1e-6, 10))
def test_every_step_of_a_training_has_a_positive_rate_up_to_the_peak(step, warmup, steps, peak):
    rate = learning_rate(step % steps, peak=peak, warmup=warmup, steps=steps)

    assert 0 < rate <= peak


def test_matrices_decay_and_vectors_do_not():
    given_weights = weights()
    before = {name: weight.detach().clone() for name, weight in given_weights.items()}
    optimiser = built(given_weights, weight_decay=0.5, learning_rate=0.1)
    for weight in given_weights.values():
        weight.grad = torch.zeros_like(weight)

    optimiser.step()

    torch.testing.assert_close(given_weights["matrix"].data, before["matrix"] * (1 - 0.1 * 0.5))
    torch.testing.assert_close(given_weights["vector"].data, before["vector"])


def test_the_first_step_goes_the_rate_against_the_gradients_sign():
    given_weights = {"vector": nn.Parameter(torch.zeros(3))}
    optimiser = built(given_weights, learning_rate=0.25)
    given_weights["vector"].grad = torch.tensor([5.0, -0.1, 1.0])

    optimiser.step()

    torch.testing.assert_close(given_weights["vector"].data, torch.tensor([-0.25, 0.25, -0.25]), rtol=1e-5, atol=1e-5)


def test_float32_weights_take_torchs_own_steps_to_the_last_bit():
    ours, torchs = weights(), list(weights().values())
    optimiser = built(ours, weight_decay=0.1, learning_rate=0.01)
    groups = [{"params": torchs[:1], "weight_decay": 0.1}, {"params": torchs[1:], "weight_decay": 0.0}]
    reference = torch.optim.AdamW(groups, lr=0.01, betas=(0.9, 0.95), fused=True)
    for _ in range(5):
        for weight, other in zip(ours.values(), torchs, strict=True):
            other.grad = torch.randn_like(other)
            weight.grad = other.grad.clone()
        optimiser.step()
        reference.step()

    assert all(torch.equal(weight, other) for weight, other in zip(ours.values(), torchs, strict=True))


@pytest.mark.parametrize("size", [(3,), (5, 40), (4, 3, 100), (700, 256)])
@pytest.mark.parametrize("states", ["float32", "bfloat16", "8bit"])
def test_the_same_seed_and_step_round_the_same_way_and_others_another(size, states):
    def end(seed, steps_before=0):
        torch.manual_seed(0)
        weight = {"w": nn.Parameter(torch.randn(size).bfloat16())}
        optimiser = built(weight, seed=seed, learning_rate=1e-4, optimiser={"states": states})
        optimiser.steps = steps_before
        weight["w"].grad = torch.ones_like(weight["w"])
        optimiser.step()
        return weight["w"].detach()

    assert torch.equal(end(0), end(0))
    if len(size) > 1:
        assert not torch.equal(end(0), end(1))
        assert not torch.equal(end(0), end(0, steps_before=1))


@pytest.mark.parametrize("states", ["float32", "bfloat16", "8bit"])
def test_a_bfloat16_weight_moves_by_the_rate_on_average_where_the_nearest_number_is_itself(states):
    weight = {"w": nn.Parameter(torch.full((512, 300), 0.02).bfloat16())}
    before = weight["w"].detach().float().clone()
    optimiser = built(weight, learning_rate=1e-5, optimiser={"states": states})
    for _ in range(20):
        weight["w"].grad = torch.ones_like(weight["w"])
        optimiser.step()

    assert torch.equal((before - 1e-5).bfloat16().float(), before)
    assert (before - weight["w"]).mean().item() == pytest.approx(20e-5, rel=0.02)


@pytest.mark.parametrize(
    ("dtype", "states", "expected"),
    [
        (torch.bfloat16, None, (torch.uint8, torch.float32)),
        (torch.float32, None, (torch.float32, torch.float32)),
        (torch.bfloat16, "bfloat16", (torch.bfloat16, torch.float32)),
        (torch.bfloat16, "float32", (torch.float32, torch.float32)),
        (torch.float32, "8bit", (torch.uint8, torch.float32)),
    ],
)
def test_moments_of_matrices_are_kept_as_asked_and_those_of_vectors_whole(dtype, states, expected):
    given_weights = {name: nn.Parameter(weight.detach().to(dtype)) for name, weight in weights().items()}

    optimiser = built(given_weights, optimiser={"states": states})

    assert expected == tuple(optimiser.state[weight]["exp_avg"].dtype for weight in given_weights.values())


def test_a_large_weight_is_stepped_a_few_rows_at_a_time_and_ends_the_same(monkeypatch):
    def end(chunk):
        monkeypatch.setattr("touge.training.optimiser.CHUNK", chunk)
        torch.manual_seed(0)
        weight = {"w": nn.Parameter(torch.randn(50, 300).bfloat16())}
        optimiser = built(weight, learning_rate=1e-2, optimiser={"states": "8bit"})
        weight["w"].grad = torch.randn_like(weight["w"])
        optimiser.step()
        return weight["w"].detach(), optimiser.state[weight["w"]]

    (whole, moments), (in_parts, others) = end(1 << 20), end(7 * 300)

    torch.testing.assert_close(whole.float(), in_parts.float(), rtol=2**-7, atol=0)  # each rounded by its own chance
    assert all(torch.equal(moments[name], others[name]) for name in moments)


@pytest.mark.parametrize(
    ("name", "tower"),
    [
        ("vlm.model.visual.blocks.0.attn.qkv.weight", "vision"),
        ("vlm.model.language_model.layers.0.mlp.up_proj.lora_A.default.weight", "language_model"),
        ("vlm.lm_head.weight", "language_model"),
        ("expert.layers.0.mlp.up_proj.weight", "expert"),
        ("action_in_proj.0.weight", "expert"),
    ],
)
def test_every_parameter_belongs_to_a_tower(name, tower):
    assert tower_of(name) == tower


def test_each_tower_follows_the_schedule_from_its_own_rate():
    train = settings(learning_rate=1.0, warmup_steps=2, learning_rates={"vision": 0.1, "expert": 4.0})
    names = ("vlm.model.visual.w", "vlm.lm_head.w", "expert.w")
    optimiser = build_optimiser({name: nn.Parameter(torch.ones(2, 2)) for name in names}, train)

    optimiser.schedule(0, train)

    assert [0.05, 0.5, 2.0] == [group["lr"] for group in optimiser.param_groups]


def test_the_norm_of_bfloat16_gradients_is_float32s():
    gradients = [torch.full((1000,), 0.1).bfloat16(), torch.full((10, 50), -0.1).bfloat16()]

    norm = total_norm(gradients, lambda part: part)

    assert norm.item() == pytest.approx(gradients[0][0].item() * 1500**0.5, rel=1e-6)


@pytest.mark.parametrize(("limit", "factor"), [(1.0, 0.2), (10.0, 1.0)])
def test_gradients_are_scaled_to_the_limit_and_never_up(limit, factor):
    gradients = [torch.tensor([3.0, 0.0]), torch.tensor([[4.0]])]

    clip(gradients, limit, total_norm(gradients, lambda part: part))

    torch.testing.assert_close(gradients, [torch.tensor([3.0 * factor, 0.0]), torch.tensor([[4.0 * factor]])])


def test_the_average_forgets_its_start_first_and_holds_its_decay_later():
    weight = {"w": nn.Parameter(torch.zeros(1))}
    average = Average.of(weight, decay=0.5)
    weight["w"].data.fill_(1.0)

    average.update(weight)
    assert average.weights["w"].item() == pytest.approx(0.9)  # decay 1/10
    average.update(weight)
    assert average.weights["w"].item() == pytest.approx(1 - 0.1 * 2 / 11)
    average.updates = 1000
    before = average.weights["w"].item()
    average.update(weight)
    assert 1 - average.weights["w"].item() == pytest.approx((1 - before) * 0.5, rel=1e-3)


def test_the_average_does_not_follow_the_weights_by_itself():
    weight = {"w": nn.Parameter(torch.zeros(2))}
    average = Average.of(weight, decay=0.9)

    weight["w"].data.fill_(7.0)

    assert torch.equal(average.weights["w"], torch.zeros(2))


def test_averages_of_bfloat16_weights_are_float32_and_go_back_rounded():
    weight = {"w": nn.Parameter(torch.ones(2, dtype=torch.bfloat16))}
    average = Average.of(weight, decay=0.9)
    average.weights["w"].fill_(1.001)

    average.copy_to(weight)

    assert average.weights["w"].dtype == torch.float32
    assert torch.equal(weight["w"].data, torch.full((2,), 1.001).bfloat16())
