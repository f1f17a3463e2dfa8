"""Base and tuned model asked about the same windows with the same luck."""

import dataclasses

import numpy as np
import pytest
import torch

from touge.alpamayo.budget.economy import Economy, Machine
from touge.alpamayo.config import AlpamayoConfig
from touge.alpamayo.inputs.tokenizer import train_tiny_tokenizer
from touge.alpamayo.model import AlpamayoR1
from touge.alpamayo.rollout import Sampling
from touge.alpamayo.tiny import TinySizes, tiny_document
from touge.alpamayo.weights import checkpoint, lora
from touge.contract.errors import CheckpointError
from touge.evaluation.rollout import Folders, Speaker, roll_out, speakers, window

from .paths import arc, make_sample

TEXTS = ("Right curve ahead, slow down and follow it.", "この先左カーブ、減速します。", "Keep going straight.")
SIZES = TinySizes(hidden=48, mlp=64, layers=2, vision_hidden=32, expert_hidden=32, expert_mlp=48, pixels=64 * 32)
SAMPLING = Sampling(rollouts=3, max_tokens=4)
DIGEST = "d" * 64


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """A base, an adapter that changes it, and the base once more as if all of it had been trained."""
    root = tmp_path_factory.mktemp("models")
    tokenizer = train_tiny_tokenizer(TEXTS * 5)
    torch.manual_seed(0)
    model = AlpamayoR1(AlpamayoConfig.parse(tiny_document(tokenizer, SIZES))).eval()
    checkpoint.save(model, tokenizer, root / "base")
    adapter = lora.Adapter(rank=2, alpha=4)
    for weights in lora.inject(model, adapter):
        weights.data.normal_(0.0, 0.2)
    lora.save_adapter(model, adapter, root / "adapter", base_digest=DIGEST)
    return Folders(base=root / "base", backbone=None, adapter=root / "adapter", full=None, base_digest=DIGEST)


def samples(count=3):
    kinds = [("curve", "left"), ("straight", "none"), ("curve", "right")]
    return [make_sample(arc(80.0), t0_us=i, kind=kinds[i % 3][0], direction=kinds[i % 3][1]) for i in range(count)]


def frames(sample):
    pictures = np.random.default_rng(sample.t0_us)
    return tuple(pictures.integers(0, 256, (32, 64, 3), dtype=np.uint8) for _ in range(4))


def ask(folders, **changes):
    return roll_out(dataclasses.replace(folders, **changes), samples(), frames, SAMPLING, lambda _: None)


@pytest.fixture(scope="module")
def outcome(folders):
    return ask(folders)


def test_every_window_has_k_rollouts_of_both_models(outcome):
    found = {name: [(p.id, len(p.rollouts)) for p in rows] for name, rows in outcome.predictions.items()}

    expected = [(sample.id, 3) for sample in samples()]
    assert found == {"base": expected, "tuned": expected}


def test_the_adapter_is_off_for_the_base_and_on_for_the_tuned_model(outcome, folders):
    plain = Speaker.load(folders.base, None)
    alone = tuple(plain.predict((window(sample, frames) for sample in samples()), SAMPLING))

    assert outcome.predictions["base"] == alone
    assert outcome.predictions["tuned"] != alone


def test_asking_again_gives_the_same_answer(outcome, folders):
    assert ask(folders).predictions == outcome.predictions


def test_a_model_that_was_not_changed_answers_like_its_base_in_two_passes(folders):
    found = ask(folders, adapter=None, full=folders.base)

    assert found.predictions["tuned"] == found.predictions["base"]


def test_of_two_passes_only_one_model_is_resident(folders):
    passes = speakers(dataclasses.replace(folders, adapter=None, full=folders.base))
    _, base = next(passes)
    _, tuned = next(passes)

    assert {p.device.type for p in base.model.parameters()} == {"meta"}
    assert {p.device.type for p in tuned.model.parameters()} == {"cpu"}


def test_an_answer_does_not_depend_on_the_other_windows(outcome, folders):
    plain = Speaker.load(folders.base, None)
    (alone,) = plain.predict(iter([window(samples()[2], frames)]), SAMPLING)

    for one, other in zip(alone.rollouts, outcome.predictions["base"][2].rollouts, strict=True):
        assert one.reasoning == other.reasoning
        np.testing.assert_allclose(one.trajectory, other.trajectory, atol=1e-4)


def test_a_small_card_gets_the_same_answers_with_words_and_vision_on_the_host(folders):
    large, small = (Speaker.load(folders.base, None) for _ in range(2))
    small.settled(Machine(memory_gib=22.0, compiler=False))
    asked = [window(sample, frames) for sample in samples()]

    assert small.model.economy.places == Economy(words_on_host=True, vision_on_host=True)
    assert tuple(small.predict(iter(asked), SAMPLING)) == tuple(large.predict(iter(asked), SAMPLING))


def test_driving_from_ones_own_words_drives_the_same(folders):
    speaker = Speaker.load(folders.base, None)
    text = "Keep going straight."
    said = Sampling(rollouts=1, max_tokens=0)
    spoken = window(samples()[0], frames, text)

    (driven,) = speaker.drive(iter([spoken]), said)
    (again,) = speaker.drive(iter([spoken]), said)
    (other,) = speaker.drive(iter([window(samples()[0], frames, "Right curve ahead.")]), said)

    assert driven == again
    assert driven.rollouts[0].reasoning == text
    assert driven.rollouts[0].trajectory != other.rollouts[0].trajectory


def test_the_likelihood_of_straight_windows_is_measured_under_both(outcome):
    (found,) = outcome.likelihoods

    assert (found.id, found.source) == (samples()[1].id, "base")
    assert found.nll["base"] != found.nll["tuned"]


def test_text_of_the_data_set_comes_before_the_base_models_own(folders):
    straight = make_sample(arc(np.inf), kind="straight", direction="none", reasoning="Keep lane.")

    (found,) = roll_out(folders, [straight], frames, SAMPLING, lambda _: None).likelihoods

    assert found.source == "dataset"


def test_the_likelihood_is_that_of_the_training_loss(folders):
    speaker = Speaker.load(folders.base, None)
    spoken = window(samples()[0], frames, "Keep going straight.")
    batch = speaker.encoder.collate([speaker.encoder.training(spoken)])
    with torch.no_grad():
        losses = speaker.model.losses(batch, torch.zeros(1, 1, 64, 2), torch.zeros(1, 1))

    ((nll, tokens),) = speaker.nll(iter([spoken]), SAMPLING)

    assert nll == pytest.approx(float(losses.nll[losses.reasoning].sum()), rel=1e-5)
    assert tokens == int(losses.reasoning.sum())


def test_windows_are_judged_together_as_apart(folders):
    speaker = Speaker.load(folders.base, None)
    texts = ("Keep going straight.", "Right curve ahead, slow down.", "Keep.")
    spoken = [window(sample, frames, text) for sample, text in zip(samples(), texts, strict=True)]
    apart = [found for one in spoken for found in speaker.nll(iter([one]), SAMPLING)]
    driven = [found for one in spoken for found in speaker.drive(iter([one]), SAMPLING)]

    together = list(speaker.nll(iter(spoken), SAMPLING))
    driven_together = list(speaker.drive(iter(spoken), SAMPLING))

    assert [tokens for _, tokens in together] == [tokens for _, tokens in apart]
    np.testing.assert_allclose([nll for nll, _ in together], [nll for nll, _ in apart], rtol=1e-5)
    assert [one.id for one in driven_together] == [one.id for one in driven]
    for one, other in zip(driven, driven_together, strict=True):
        np.testing.assert_allclose(one.rollouts[0].trajectory, other.rollouts[0].trajectory, atol=1e-4)


def test_progress_counts_windows_of_both_models(folders):
    told = []
    roll_out(folders, samples(), frames, SAMPLING, told.append)

    assert told == [1, 2, 3, 4, 5, 6]


def test_an_adapter_of_another_base_is_refused(folders):
    with pytest.raises(CheckpointError, match="trained on base"):
        ask(folders, base_digest="e" * 64)
