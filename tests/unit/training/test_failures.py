"""What torch's errors mean to a person."""

import re

import pytest
import torch
import torch.distributed as dist
from hypothesis import given
from hypothesis import strategies as st
from tiny_training import settings

from touge.contract.errors import DataError, GpuMemoryError, InfrastructureError
from touge.contract.figures import Figure
from touge.training.failures import explained, smaller

RUN = {"gpu": "H100 80GB", "date": "2026-11-27", "command": "python benchmarks/training.py"}


def figure(**changes):
    usual = {"method": "lora", "cameras": 4, "batch": 2, "flowDraws": 8, "economy": "none", "card": 40}
    return Figure.model_validate(usual | {"peakGib": 31.2, "reservedGib": 32.0, "measured": RUN} | changes)


def raised(error):
    with explained(settings(batch_size=4, flow_draws=8), cameras=4, figures=[figure()]):
        raise error


@pytest.mark.parametrize(
    ("given", "advice"),
    [
        ({"batch_size": 4}, "train.batch_size=2 and train.gradient_accumulation=2"),
        ({"batch_size": 3, "gradient_accumulation": 2}, "train.batch_size=1 and train.gradient_accumulation=6"),
        ({"batch_size": 5}, "train.batch_size=1 and train.gradient_accumulation=5"),
        ({"batch_size": 6, "gradient_accumulation": 2}, "train.batch_size=3 and train.gradient_accumulation=4"),
        ({"batch_size": 1, "flow_draws": 8}, "train.flow_draws=4"),
        ({"batch_size": 1, "method": "full", "optimiser": {"states": "bfloat16"}}, "train.optimiser.states=8bit"),
        (
            {"batch_size": 1, "flow_draws": 1, "method": "full"},
            "resources.gpus to more, which split the weights, or train.method=lora",
        ),
        ({"batch_size": 1, "flow_draws": 1, "method": "lora"}, "train.method=qlora"),
        ({"batch_size": 1, "flow_draws": 1, "method": "qlora"}, "a larger card"),
    ],
)
def test_the_advice_is_the_next_smaller_setting(given, advice):
    assert advice in smaller(settings(**given))[0]


@given(batch=st.integers(2, 64), accumulation=st.integers(1, 8))
def test_the_smaller_batch_makes_the_same_steps(batch, accumulation):
    advice, _ = smaller(settings(batch_size=batch, gradient_accumulation=accumulation))

    size, parts = map(int, re.findall(r"=(\d+)", advice))
    assert size < batch
    assert size * parts == batch * accumulation


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("tried 2 GiB\nmore lines"),
        torch.AcceleratorError("CUDA error: out of memory"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    ],
)
def test_out_of_gpu_memory_names_the_smaller_setting(error):
    with pytest.raises(
        GpuMemoryError,
        match=r"out of GPU memory \([^\n]+\)\. Set train\.batch_size=2.*measured 31\.2 GiB: 4 cameras, batch 2",
    ):
        raised(error)


def test_a_large_card_is_first_told_to_compute_layers_again_which_changes_no_result():
    whole, again = figure(peakGib=38.2), figure(economy="compiled, layers recomputed", peakGib=21.6, card=24)
    given = settings(batch_size=1, economy={"recompute": 0, "on_host": False})

    with pytest.raises(GpuMemoryError) as found, explained(given, cameras=4, figures=[whole, again]):
        raise torch.OutOfMemoryError

    message = str(found.value)
    assert "train.economy.recompute=1 and train.economy.on_host=true" in message
    assert "measured 21.6 GiB" in message


def test_a_training_of_all_weights_is_not_told_to_lay_them_on_the_host():
    advice, _ = smaller(settings(batch_size=1, method="full", economy={"recompute": 0}))

    assert "recompute=1" in advice
    assert "on_host" not in advice


def test_what_is_told_of_memory_is_of_the_same_economy():
    whole = figure(peakGib=38.2, card=48)
    again = figure(economy="compiled, layers recomputed", peakGib=21.6, card=24)
    given = settings(batch_size=2, flow_draws=8, economy={"recompute": 0})

    with (
        pytest.raises(GpuMemoryError, match=r"train\.batch_size=1.*measured 38\.2 GiB"),
        explained(given, cameras=4, figures=[whole, again]),
    ):
        raise torch.OutOfMemoryError


def test_torchs_advice_about_its_own_settings_is_left_out():
    text = "Tried to allocate 80.00 MiB. If reserved but unallocated memory is large try setting X"

    with pytest.raises(GpuMemoryError) as found:
        raised(torch.OutOfMemoryError(text))

    assert "(Tried to allocate 80.00 MiB.)" in str(found.value)


def test_nothing_is_said_of_a_setting_that_was_not_measured():
    estimate = figure(peakGib=None, reservedGib=None, measured=None)

    with pytest.raises(GpuMemoryError) as found, explained(settings(batch_size=4), cameras=1, figures=[estimate]):
        raise torch.OutOfMemoryError

    assert "measured" not in str(found.value)


@pytest.mark.parametrize(
    "error",
    [
        dist.DistBackendError("NCCL error"),
        dist.DistNetworkError("refused"),
        torch.AcceleratorError("CUDA error: unspecified launch failure"),
        RuntimeError("[gloo/transport/tcp/pair.cc:538] Connection closed by peer [127.0.0.1]:4711"),
    ],
)
def test_a_lost_peer_is_worth_another_try(error):
    with pytest.raises(InfrastructureError, match="lost"):
        raised(error)


@pytest.mark.parametrize("error", [RuntimeError("shapes differ"), DataError("no rows"), KeyError("x")])
def test_any_other_error_stays_what_it_is(error):
    with pytest.raises(type(error)) as found:
        raised(error)
    assert found.value is error
