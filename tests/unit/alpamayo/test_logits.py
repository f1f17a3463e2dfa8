"""Logits of a table whose rows are no multiple of eight."""

import pytest
import torch
import torch.distributed as dist
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard

from touge.alpamayo.layers.logits import logits_of


def head(rows, *, trained=False):
    torch.manual_seed(0)
    made = torch.nn.Linear(32, rows, bias=False).bfloat16()
    return made.requires_grad_(trained)


def hidden():
    return torch.randn(5, 32, generator=torch.Generator().manual_seed(1)).bfloat16().requires_grad_()


@pytest.mark.parametrize("rows", [16, 17, 23])
@pytest.mark.parametrize("trained", [False, True])
def test_logits_and_gradients_are_those_of_the_whole_table(rows, trained):
    given, plain = hidden(), hidden()
    table, same = head(rows, trained=trained), head(rows, trained=trained)
    weights = torch.linspace(-1, 1, rows)

    (logits_of(table, given).float() * weights).sum().backward()
    (same(plain).float() * weights).sum().backward()

    torch.testing.assert_close(logits_of(table, given), same(plain), rtol=2**-7, atol=2**-7)
    torch.testing.assert_close(given.grad, plain.grad, rtol=2**-6, atol=2**-6)
    assert (table.weight.grad is None) is not trained


def test_a_frozen_table_that_is_split_over_processes_is_gathered(tmp_path):
    dist.init_process_group("gloo", init_method=f"file://{tmp_path / 'meeting'}", rank=0, world_size=1)
    try:
        table, given = head(17), hidden()
        expected = head(17)(given)
        fully_shard(table, mesh=init_device_mesh("cpu", (1,)))

        torch.testing.assert_close(logits_of(table, given), expected, rtol=2**-7, atol=2**-7)
    finally:
        dist.destroy_process_group()
