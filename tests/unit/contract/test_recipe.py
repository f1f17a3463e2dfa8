"""The recipe document: round trip, every problem at once, the nearest known name, overrides."""

import string

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from touge.contract.errors import RecipeError
from touge.contract.recipe import CAMERAS, Recipe, dump_recipe, load_recipe

MINIMAL = """
apiVersion: touge/v1
name: lora
base: file:///models/base
curate:
  drives: [{format: physical-ai-av, uri: "s3://drives/pai"}]
train: {method: lora}
"""


def problems(text, *overrides):
    with pytest.raises(RecipeError) as caught:
        load_recipe(text, overrides)
    return caught.value.problems


def changed(**fields):
    document = yaml.safe_load(MINIMAL)
    document.update(fields)
    return yaml.safe_dump(document)


names = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,28}[a-z0-9])?", fullmatch=True)
cameras = st.sets(st.sampled_from(CAMERAS), min_size=1).map(lambda chosen: sorted(chosen, key=CAMERAS.index))
recipes = st.builds(
    lambda name, chosen, method, rank, rate, straight, steps: changed(
        name=name,
        curate={
            "drives": [{"format": "physical-ai-av", "uri": "s3://drives/pai"}],
            "cameras": chosen,
            "balance": {"straight": straight},
        },
        train={"method": method, "lora": {"rank": rank}, "learning_rate": rate, "steps": steps},
    ),
    names,
    cameras,
    st.sampled_from(["lora", "qlora", "full"]),
    st.integers(1, 512),
    st.floats(1e-8, 1.0),
    st.none() | st.floats(0, 1),
    st.integers(1, 10**6),
)


@given(recipes)
def test_a_recipe_survives_the_round_trip(text):
    recipe = load_recipe(text)

    assert recipe == load_recipe(dump_recipe(recipe))
    assert recipe == Recipe.read_json(recipe.to_json())


@given(st.sampled_from(["rank", "alpha", "dropout", "expert", "vision"]), st.integers(0, 3), st.sampled_from("xqz"))
def test_a_misspelt_key_is_answered_with_the_nearest_name(key, position, letter):
    typo = key[:position] + letter + key[position:]
    document = yaml.safe_load(MINIMAL)
    document["train"]["lora"] = {typo: 1}

    assert (f"train.lora.{typo}: unknown key; did you mean `{key}`?",) == problems(yaml.safe_dump(document))


def test_a_misspelt_key_inside_a_drive_is_answered_with_its_own_names():
    found = problems(MINIMAL.replace("uri:", "urri:"))

    assert "curate.drives.0.uri: missing; set it" in found
    assert "curate.drives.0.urri: unknown key; did you mean `uri`?" in found
    assert len(found) == 2


def test_all_problems_are_listed_at_once():
    found = problems(
        changed(name="Not A Label", base="models/base", train={"method": "lore", "steps": 0}),
        "train.lora.alpha=zero",
        "curate.drives.7.uri=x",
    )

    assert len(found) == 6
    for place in ("name", "base", "train.method", "train.steps", "train.lora.alpha", "curate.drives.7.uri"):
        assert any(place in problem for problem in found), place


def test_an_override_changes_one_field():
    assert load_recipe(MINIMAL, ["train.lora.rank=32"]).train.lora.rank == 32
    assert load_recipe(MINIMAL, ["curate.drives.0.uri=s3://other"]).curate.drives[0].uri == "s3://other"


@pytest.mark.parametrize("override", ["train.lora.rank", "=3", "train.method.name=x", "curate.drives.first.uri=x"])
def test_an_override_that_leads_nowhere_is_named(override):
    assert any(override in problem for problem in problems(MINIMAL, override))


def test_a_key_that_is_given_twice_is_refused():
    assert "given twice: name" in problems(MINIMAL + "name: again\n")[0]


def test_a_number_in_scientific_notation_is_a_number():
    assert load_recipe(MINIMAL, ["train.learning_rate=1e-4"]).train.learning_rate == 1e-4


@pytest.mark.parametrize("value", [".nan", ".inf"])
def test_a_number_must_be_finite(value):
    assert len(problems(MINIMAL, f"train.learning_rate={value}")) == 1


@pytest.mark.parametrize("text", ["", "- a\n- b", "just words", "a: [1,", "\x00"])
def test_what_is_no_mapping_is_refused_in_one_sentence(text):
    assert len(problems(text)) == 1


@given(st.text(alphabet=string.printable))
def test_any_text_gives_a_recipe_or_a_recipe_error(text):
    with pytest.raises(RecipeError):
        load_recipe(text)


def test_cameras_stand_in_the_models_order():
    assert "model's order" in problems(MINIMAL, "curate.cameras=[front_tele, front_wide]")[0]


def test_a_split_leaves_something_to_train_on():
    assert "train on" in problems(MINIMAL, "curate.split={validation: 0.5, test: 0.5}")[0]


def test_weights_of_4_bits_are_not_split_over_processes():
    assert "not split" in problems(MINIMAL, "train.method=qlora", "train.sharded=true")[0]


def test_a_hub_model_names_its_revision():
    assert problems(MINIMAL, "base=hf://nvidia/Alpamayo-R1-10B")
    assert load_recipe(MINIMAL, ["base=hf://nvidia/Alpamayo-R1-10B@main"]).base.endswith("@main")


def test_full_training_cannot_send_what_it_trains_to_the_host():
    (problem,) = problems(MINIMAL, "train.method=full", "train.economy.on_host=true")

    assert "economy.on_host" in problem
