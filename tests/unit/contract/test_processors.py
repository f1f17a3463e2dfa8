"""How an execution shares out the processors."""

import pytest
from run_builders import make_recipe, plan_of

from touge.contract.processors import Share


def share(stage="train", processors=2, *, parts=2, gpu=False, shards=1, **resources):
    recipe = make_recipe(train={"method": "lora", "gradient_accumulation": parts}, resources={"gpus": 0} | resources)
    planned = plan_of(recipe).stage(stage).model_copy(update={"shards": shards})
    return Share.of(planned, recipe, processors, gpu=gpu)


@pytest.mark.parametrize(
    ("processors", "parts", "processes", "threads"),
    [(2, 2, 2, 1), (2, 1, 1, 2), (1, 2, 1, 1), (4, 2, 2, 2), (3, 2, 2, 1), (8, 6, 6, 1), (4, 6, 3, 1), (16, 3, 3, 5)],
)
def test_micro_batches_are_trained_side_by_side_by_as_many_processes_as_divide_them(
    processors, parts, processes, threads
):
    assert share(processors=processors, parts=parts) == Share(threads, processes)


def test_a_machine_with_a_gpu_trains_as_the_stage_chooses():
    assert share(gpu=True) == Share(2)


@pytest.mark.parametrize("gpus", [None, 1, 2])
def test_a_recipe_that_wants_a_gpu_is_not_split(gpus):
    assert share(gpus=gpus) == Share(2)


def test_other_stages_share_the_processors_among_their_shards():
    assert [share("curate-map", 4, shards=shards) for shards in (1, 2, 3, 8)] == [
        Share(4),
        Share(2),
        Share(1),
        Share(1),
    ]


def test_the_process_is_told_only_what_is_chosen():
    assert Share(1, 2).to_environ() == {"OMP_NUM_THREADS": "1", "TOUGE_PROCESSES": "2"}
    assert Share(3).to_environ() == {"OMP_NUM_THREADS": "3"}
