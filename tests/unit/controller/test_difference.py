"""What has changed between two plans."""

from run_builders import CODES, make_recipe, make_resolved, plan_of

from controller.difference import differences
from controller.plan import make_plan


def test_equal_plans_do_not_differ():
    assert [] == differences(plan_of(), plan_of())


def test_a_changed_field_is_named_as_set_takes_it():
    assert ["train.steps: 4 -> 9"] == differences(plan_of(), plan_of(train={"method": "lora", "steps": 9}))


def test_a_changed_base_is_told_by_its_content():
    recipe = make_recipe()
    now = make_plan(recipe, make_resolved(recipe, base="another"), CODES)

    assert ["base (content): base-digest -> another"] == differences(plan_of(), now)


def test_new_drives_are_told_with_their_number():
    recipe = make_recipe()
    (line,) = differences(plan_of(), make_plan(recipe, make_resolved(recipe, tag="new"), CODES))

    assert line.startswith("drives file:///drives: 1 objects (")


def test_another_drive_is_told_as_one_that_was_not_there():
    drives = [{"format": "jsonl", "uri": uri} for uri in ("file:///drives", "file:///more")]
    lines = differences(plan_of(), plan_of(curate={"drives": drives}))

    assert "curate.drives.1.uri: nothing -> file:///more" in lines


def test_other_code_is_told_by_stage():
    recipe = make_recipe()
    now = make_plan(recipe, make_resolved(recipe), CODES | {"train": "newer"})

    assert ["code of train: code-of-trai -> newer"] == differences(plan_of(), now)
