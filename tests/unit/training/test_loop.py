"""The loop: steps, reports, saves and stops, over a world that only listens."""

from dataclasses import dataclass, field, replace

import pytest
import torch
from tiny_training import feed_of, settings

from touge.alpamayo.weights import checkpoint
from touge.contract.errors import Interrupted, TougeError
from touge.training.gradients import Computed
from touge.training.loop import Loop, Outside
from touge.training.ranks import Ranks
from touge.training.state import State
from touge.training.step import train_step
from touge.training.weights import choose_weights


@dataclass
class Listener:
    """Counts steps by its clock, which goes on by `step_us` whenever it is asked the time."""

    step_us: int = 100_000
    stop_at: int = 10**6
    now: int = 10**12
    asked: int = 0
    reports: list = field(default_factory=list)
    saves: list = field(default_factory=list)

    def clock(self):
        self.now += self.step_us
        return self.now

    def stopping(self):
        self.asked += 1
        return self.asked > self.stop_at

    @property
    def outside(self):
        return Outside(self.stopping, self.clock, self.reports.append, lambda state: self.saves.append(state.step))


def loop_of(model, train, listener):
    ranks = Ranks()
    weights = choose_weights(model, train)
    gradients = Computed(ranks.wrap(model.train(), train), weights.values(), train, ranks)
    return Loop(model, gradients, State.begin(weights, train), train, ranks, listener.outside)


def prompt_feed(inputs, train):
    """Return a feed for which nobody ever waits."""
    return replace(feed_of(inputs, train), clock=lambda: 0.0)


def snapshot(state):
    return {name: weight.detach().clone() for name, weight in state.weights.items()}


def test_every_so_many_steps_are_saved_but_not_the_last(model, inputs):
    train, listener = settings(steps=6, batch_size=1, checkpoint_every=2), Listener()

    loop_of(model, train, listener).run(feed_of(inputs, train))

    assert listener.saves == [2, 4]


@pytest.mark.parametrize(("stop_at", "saves"), [(0, []), (2, [2]), (3, [2, 3])])
def test_a_stop_saves_what_is_not_saved_yet(model, inputs, stop_at, saves):
    train, listener = settings(steps=6, batch_size=1, checkpoint_every=2), Listener(stop_at=stop_at)

    with pytest.raises(Interrupted, match=f"stopped after step {stop_at};"):
        loop_of(model, train, listener).run(feed_of(inputs, train))

    assert listener.saves == saves


@pytest.mark.parametrize(("patience_s", "saves"), [(0.5, [2, 3]), (0.2, [2])])
def test_a_stop_saves_only_what_the_grace_leaves_time_for(model, inputs, patience_s, saves):
    """A step and a save take a tenth of a second each by the listener's clock."""
    train, listener = settings(steps=6, batch_size=1, checkpoint_every=2), Listener(stop_at=3)
    loop = replace(loop_of(model, train, listener), patience_s=patience_s)

    with pytest.raises(Interrupted, match="stopped after step 3") as stopped:
        loop.run(feed_of(inputs, train))

    assert listener.saves == saves
    assert ("saved step 2: a save takes 0 s, 0 s are granted" in str(stopped.value)) == (saves == [2])


def test_what_was_never_saved_is_saved_however_little_time_there_is(model, inputs):
    train, listener = settings(steps=6, batch_size=1), Listener(stop_at=1)
    loop = replace(loop_of(model, train, listener), patience_s=0.0, save_s=99.0)

    with pytest.raises(Interrupted, match="stopped after step 1;"):
        loop.run(feed_of(inputs, train))

    assert listener.saves == [1]


def test_progress_is_told_at_once_then_now_and_then_and_at_the_end(model, inputs):
    train = settings(steps=12, batch_size=1, checkpoint_every=99)
    listener = Listener(step_us=200_000)  # twice asked: 0.4 s a step

    loop_of(model, train, listener).run(prompt_feed(inputs, train))

    assert [1, 6, 11, 12] == [report.done for report in listener.reports]
    assert {12} == {report.total for report in listener.reports}


def test_the_pace_of_a_resumed_training_is_that_of_all_its_steps(model, inputs):
    train, first, second = settings(steps=8, batch_size=1), Listener(stop_at=4), Listener(now=10**13)
    loop = loop_of(model, train, first)
    with pytest.raises(Interrupted):
        loop.run(prompt_feed(inputs, train))

    replace(loop, outside=second.outside).run(prompt_feed(inputs, train))

    report = second.reports[0]
    assert report.done == 5
    assert report.eta_s == pytest.approx(3 * (report.updated_us - report.started_us) / 5e6)
    assert report.updated_us - report.started_us == pytest.approx(4 * 100_000 + 200_000, rel=0.01)


def test_a_loss_that_is_no_number_leaves_the_weights_of_the_step_before(model, inputs):
    train = settings(steps=4)
    loop, feed = loop_of(model, train, Listener()), feed_of(inputs, train)
    given = feed.step(0)
    loop.advance(given, given.totals)
    before, moments = snapshot(loop.state), str(loop.state.optimiser.state_dict())

    given = feed.step(1)
    for _, draws in given.parts:
        draws.noise[0, 0, 0, 0] = torch.nan
    with pytest.raises(TougeError, match=rf"step 1: loss nan, gradient norm nan.*Samples: {', '.join(given.ids)}\."):
        loop.advance(given, given.totals)

    assert all(torch.equal(before[name], weight) for name, weight in loop.state.weights.items())
    assert moments == str(loop.state.optimiser.state_dict())
    assert (loop.state.step, len(loop.state.rows)) == (1, 1)


def test_a_step_with_dropout_does_not_depend_on_torchs_own_chance(base, inputs):
    train, ends = settings(lora={"rank": 4, "dropout": 0.5}), []
    for seed in (1, 2):
        loop = loop_of(checkpoint.load(base)[0], train, Listener())
        for step in (0, 1):
            torch.manual_seed(seed)
            given = feed_of(inputs, train).step(step)
            loop.advance(given, given.totals)
        ends.append(snapshot(loop.state))

    assert all(torch.equal(ends[0][name], ends[1][name]) for name in ends[0])


def test_the_gradient_of_a_step_is_that_of_its_loss(base, model, inputs):
    train = settings(method="full", batch_size=2, gradient_accumulation=2)
    loop, given = loop_of(model, train, Listener()), feed_of(inputs, train).step(0)
    row = loop.advance(given, given.totals)

    other = checkpoint.load(base)[0]
    losses = [train_step(other.losses, batch, draws, train.loss, given.totals)[0] for batch, draws in given.parts]
    sum(losses).backward()

    norm = torch.stack([parameter.grad.norm() for parameter in other.parameters()]).norm()
    assert row.loss == pytest.approx(sum(losses).item(), rel=1e-5)
    assert row.gradient_norm == pytest.approx(norm.item(), rel=1e-4)


def test_a_gradient_is_clipped_and_its_norm_told_unclipped(model, inputs):
    train = settings(gradient_clip=1e-3, learning_rate=1e-2)
    loop, feed = loop_of(model, train, Listener()), feed_of(inputs, train)
    given = feed.step(0)

    row = loop.advance(given, given.totals)

    moments = loop.state.optimiser.state_dict()["state"].values()
    first = torch.cat([moment["exp_avg"].flatten() for moment in moments])  # a tenth of the first gradient
    assert row.gradient_norm > 0.01
    assert first.norm().item() == pytest.approx(1e-4, rel=1e-3)


def test_a_negative_seed_is_as_good_as_any(model, inputs):
    train = settings(seed=-1, steps=1)

    loop = loop_of(model, train, Listener())
    loop.run(feed_of(inputs, train))

    assert loop.state.step == 1


def test_a_step_that_waited_for_its_input_says_so(model, inputs):
    train = settings(steps=1, batch_size=1)
    loop, given = loop_of(model, train, Listener(step_us=100_000)), feed_of(inputs, train).step(0)

    row = loop.advance(replace(given, waited_s=0.3), given.totals)

    assert row.idle_share == pytest.approx(0.75)
    assert row.samples_per_second == pytest.approx(1 / 0.4)
