"""The recipe: what a model team wants, as one closed document (design: the recipe).

Text in, a frozen `Recipe` out, or one `RecipeError` that lists every problem. First step of the
data flow: the controller turns a recipe into a plan. Names are not resolved here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import AfterValidator, Field, ValidationError, model_validator
from pydantic.fields import FieldInfo

from touge.contract.errors import RecipeError
from touge.contract.model import Document, problems

API_VERSION = "touge/v1"


def _like(pattern: str, meaning: str) -> tuple[AfterValidator, FieldInfo]:
    """Return the annotations of a string that matches `pattern`, refused by its `meaning`."""

    def check(text: str) -> str:
        if not re.fullmatch(pattern, text):
            raise ValueError(f"expected {meaning}")
        return text

    return AfterValidator(check), Field(json_schema_extra={"pattern": f"^({pattern})$"})


#: Short enough that `<name>-<hash>` fits Kubernetes' 63 characters with an attempt behind it.
Name = Annotated[
    str,
    *_like(r"(?=.{1,30}$)[a-z0-9]([a-z0-9-]*[a-z0-9])?", "at most 30 of a-z, 0-9 and -, no - at an end"),
]
Uri = Annotated[str, *_like(r"(file|s3)://.+", "file://<path> or s3://<bucket>/<prefix>")]
ModelUri = Annotated[
    str,
    *_like(
        r"file://.+|s3://.+|hf://[^/@]+/[^/@]+@[^@]+",
        "file://<path>, s3://<bucket>/<prefix> or hf://<owner>/<name>@<revision>",
    ),
]
Memory = Annotated[str, *_like(r"[1-9]\d*GB", "decimal gigabytes as on the box, such as 24GB")]
Fraction = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]

#: Cameras by the model's index (Alpamayo-R1 model card): the order in which it is given the images.
CAMERAS = ("cross_left", "front_wide", "cross_right", "rear_left", "rear_tele", "rear_right", "front_tele")
Camera = Literal["cross_left", "front_wide", "cross_right", "rear_left", "rear_tele", "rear_right", "front_tele"]


class PhysicalAiAvSource(Document):
    """Drives in the PhysicalAI-AV layout: parquet indexes, zip chunks, mp4 and timestamps."""

    format: Literal["physical-ai-av"]
    uri: Uri
    region: str | None = Field(None, description="ISO country code; only drives recorded there are read")


class DeadReckoning(Document):
    """Motion from steering and speed: yaw rate = v tan(angle / ratio) / wheelbase."""

    kind: Literal["dead-reckoning"]
    steering: str = Field(description="column of the steering wheel angle, radians, left positive")
    speed: str = Field(description="column of the speed, m/s")
    steering_ratio: Positive
    wheelbase: Positive = Field(description="metres")


class Positions(Document):
    """Motion from positions with heading, metres and radians or a quaternion."""

    kind: Literal["positions"]
    x: str
    y: str
    z: str | None = None
    yaw: str | None = None
    quaternion: tuple[str, str, str, str] | None = Field(None, description="columns of qx, qy, qz, qw")
    speed: str | None = None
    global_frame: bool = Field(True, description="whether positions of all files are in one map frame")

    @model_validator(mode="after")
    def _one_heading(self) -> Self:
        if (self.yaw is None) == (self.quaternion is None):
            message = "give either yaw or quaternion"
            raise ValueError(message)
        return self


class Timestamp(Document):
    """The column and unit of time."""

    column: str
    unit: Literal["s", "ms", "us", "ns"]


class SyntheticCamera(Document):
    """Frames drawn along the driven path, for logs that have no camera."""

    render: Literal["synthetic"]
    seed: int = 0
    width: Count = 192
    height: Count = 64


class TableSource(Document):
    """Drives in CSV or Parquet files, one drive a file."""

    format: Literal["table"]
    uri: Uri
    region: str | None = None
    timestamp: Timestamp
    motion: Annotated[DeadReckoning | Positions, Field(discriminator="kind")]
    camera: SyntheticCamera | None = None


class JsonlSource(Document):
    """Rows of `touge.sample/1` that were made elsewhere."""

    format: Literal["jsonl"]
    uri: Uri
    region: str | None = None


DriveSource = Annotated[PhysicalAiAvSource | TableSource | JsonlSource, Field(discriminator="format")]


class Windows(Document):
    """How windows are laid over a drive."""

    stride_s: Positive = 1.0


class Image(Document):
    """The model's input size, as its image processor bounds it."""

    min_pixels: Count = 163_840
    max_pixels: Count = 196_608

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.min_pixels > self.max_pixels:
            message = "min_pixels must be at most max_pixels"
            raise ValueError(message)
        return self


class ReasoningSource(Document):
    """Where reasoning text comes from for windows whose data set has none."""

    curves: Literal["template"] = "template"
    straight: Literal["base", "template"] = "base"
    phrasings: Count | None = Field(
        None, description="how many phrasings of a manoeuvre templates choose from; null: all that the language has"
    )
    language: Literal["en", "ja"] = "en"


class Balance(Document):
    """The mix of the training split; other splits are never balanced."""

    straight: Fraction | None = Field(0.3, description="share of straight windows; null keeps them all")


class Split(Document):
    """How windows are held out: no drive and no place is on both sides."""

    by: tuple[Literal["drive", "place"], ...] = ("drive", "place")
    validation: Fraction = 0.1
    test: Fraction = 0.2

    @model_validator(mode="after")
    def _leaves_training_data(self) -> Self:
        if self.validation + self.test >= 1:
            message = "validation and test together must leave something to train on"
            raise ValueError(message)
        return self


class Curate(Document):
    """Drives to samples."""

    drives: tuple[DriveSource, ...] = Field(min_length=1)
    cameras: tuple[Camera, ...] = Field(("front_wide",), min_length=1)
    labels: str = Field("jp-2026.1", description="curve definition, by version")
    windows: Windows = Windows()
    image: Image = Image()
    contradictions: Literal["reject", "keep"] = Field(
        "reject", description="keep: for controls and biased bases only; taints the data set for good"
    )
    reasoning: ReasoningSource = ReasoningSource()
    balance: Balance = Balance()
    split: Split = Split()
    seed: int = 0
    shards: Count = 1

    @model_validator(mode="after")
    def _cameras_in_model_order(self) -> Self:
        order = [CAMERAS.index(camera) for camera in self.cameras]
        if order != sorted(set(order)):
            message = f"cameras must be distinct and in the model's order: {', '.join(CAMERAS)}"
            raise ValueError(message)
        return self


class Lora(Document):
    """Low-rank adapters (Hu et al. 2021, arXiv 2106.09685) and where they go."""

    rank: Count = 16
    alpha: Positive = 32
    dropout: Fraction = 0.0
    language_model: str | tuple[str, ...] = "all-linear"
    expert: str | tuple[str, ...] = "all-linear"
    vision: str | tuple[str, ...] = "none"
    variant: Literal["lora", "rslora", "dora"] = "lora"
    action_projections: str | tuple[str, ...] = Field(
        "none", description="all-linear, none, or of action_in_proj and action_out_proj"
    )
    dtype: Literal["float32", "bfloat16"] = Field("float32", description="of the adapters")


class Loss(Document):
    """Weights of the loss terms."""

    reasoning: Annotated[float, Field(ge=0)] = 1.0
    trajectory_tokens: Annotated[float, Field(ge=0)] = 1.0
    trajectory: Annotated[float, Field(ge=0)] = 1.0

    @model_validator(mode="after")
    def _something_to_learn(self) -> Self:
        if not self.reasoning + self.trajectory_tokens + self.trajectory:
            message = "at least one weight must be positive"
            raise ValueError(message)
        return self


class Optimiser(Document):
    """How AdamW keeps its two moments of each weight."""

    states: Literal["float32", "bfloat16", "8bit"] | None = Field(
        None, description="null: 8bit beside bfloat16 weights, float32 beside float32 ones; vectors are always float32"
    )


class LearningRates(Document):
    """Peak rates of single towers, where they are not `learning_rate`."""

    language_model: Positive | None = None
    vision: Positive | None = None
    expert: Positive | None = Field(None, description="with its action projections")


class Insulation(Document):
    """What the flow loss may teach the language model (knowledge insulation, arXiv 2505.23705)."""

    reach: Fraction = Field(
        0.0, description="share of the flow loss's gradient that reaches it; 0 cuts it off as the reference does"
    )


class Economies(Document):
    """What a training spends to save memory, or time; null: as method and GPU want it. A stage is the same with any."""

    compile: bool | None = Field(None, description="fuse layers by torch.compile, where there is a C compiler")
    recompute: Annotated[int, Field(ge=0)] | None = Field(
        None, description="of every so many layers one is computed again in the backward pass; 0 keeps all activations"
    )
    columns: Annotated[int, Field(ge=0)] | None = Field(
        None, description="batches are padded to a multiple of so many tokens; 0 leaves them as they come"
    )
    rounded_adapters: bool | None = Field(
        None, description="adapters multiply in the type of activations instead of float32"
    )
    on_host: bool | None = Field(
        None, description="word embeddings and a frozen vision tower stay in the host's memory"
    )
    cuda_graphs: bool | None = Field(
        None,
        description="a step is recorded once a shape and replayed; all weights cannot be trained so",
    )


class Augmentation(Document):
    """Other light in training pictures, by chance for each step, sample and camera; 0 leaves them. Nothing mirrors."""

    brightness: Fraction = Field(0.0, description="largest shift, of full scale")
    contrast: Fraction = Field(0.0, description="largest change of the factor about mid-grey")
    gamma: Annotated[float, Field(ge=0)] = Field(0.0, description="g: exponents from 1/(1+g) to 1+g")
    noise: Fraction = Field(0.0, description="standard deviation, of full scale; the same in a camera's frames")

    @property
    def off(self) -> bool:
        """Whether pictures stay as they are."""
        return not (self.brightness or self.contrast or self.gamma or self.noise)


class Train(Document):
    """Samples to an adapter or a checkpoint."""

    method: Literal["lora", "qlora", "full"]
    lora: Lora = Lora()
    loss: Loss = Loss()
    flow_draws: Count = Field(8, description="noise draws a pass of the language model")
    steps: Count = 1000
    batch_size: Count = Field(1, description="samples a process and micro-step")
    gradient_accumulation: Count = 1
    learning_rate: Positive = 1e-4
    learning_rates: LearningRates = LearningRates()
    optimiser: Optimiser = Optimiser()
    insulation: Insulation = Insulation()
    economy: Economies = Economies()
    augmentation: Augmentation = Augmentation()
    sharded: bool | None = Field(
        None,
        description="whether processes split weights, gradients and moments (FSDP2) or each holds all; "
        "null: they split them where all weights are trained",
    )
    warmup_steps: Annotated[int, Field(ge=0)] = 20
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    gradient_clip: Positive = 1.0
    averaging: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.0,
        description="decay of the exponential moving average of the trained weights that is saved; 0 saves the last",
    )
    checkpoint_every: Count = 200
    seed: int = 0

    @model_validator(mode="after")
    def _splits_what_can_be_split(self) -> Self:
        if self.sharded and self.method == "qlora":
            message = "sharded: weights of 4 bits are not split over processes; each holds all of them"
            raise ValueError(message)
        return self

    @model_validator(mode="after")
    def _trains_on_the_device(self) -> Self:
        if self.economy.on_host and self.method == "full":
            message = "economy.on_host: what is trained has to stay on the GPU; leave it out, or train adapters"
            raise ValueError(message)
        return self


class Evaluate(Document):
    """A tuned model to a report and a verdict."""

    windows_per_drive: Count | None = Field(
        None,
        description="test windows of each bucket (curve, straight, …) of a drive, evenly spaced; null: all",
    )
    rollouts: Count = 6
    seed: int = 0
    temperature: Annotated[float, Field(ge=0)] = Field(0.6, description="of the reasoning; 0 is greedy")
    top_p: Annotated[float, Field(gt=0, le=1)] = 0.98
    gate: Literal["standard"] = "standard"
    shards: Count = 1


class Resources(Document):
    """What a GPU stage needs; each method has a measured default."""

    gpu_memory: Memory | None = Field(None, description="of one GPU, decimal GB as on the box")
    gpus: Annotated[int, Field(ge=0)] | None = None
    nodes: Count = 1


class Limits(Document):
    """When the controller ends a stage that runs on and on."""

    hours: Positive = 72.0


class Recipe(Document):
    """One document, three sections: curate, train, evaluate."""

    api_version: Literal["touge/v1"] = Field(alias="apiVersion")
    name: Name
    base: ModelUri
    backbone: ModelUri | None = Field(
        None, description="tokenizer, image processor and config; null where the base carries its own"
    )
    curate: Curate
    train: Train
    evaluate: Evaluate = Evaluate()
    resources: Resources = Resources()
    limits: Limits = Limits()


def load_recipe(text: str, overrides: Iterable[str] = (), *, source: str = "recipe") -> Recipe:
    """Parse YAML, apply `key.path=value` overrides, and validate.

    Raises:
        RecipeError: With every problem of the document.
    """
    document = _parse(text, source)
    failed = [problem for override in overrides if (problem := _apply(document, override))]
    try:
        recipe = Recipe.model_validate(document)
    except ValidationError as error:
        raise RecipeError([*failed, *problems(error, Recipe)], source=source) from None
    if failed:
        raise RecipeError(failed, source=source)
    return recipe


def dump_recipe(recipe: Recipe) -> str:
    """Return the recipe as YAML that `load_recipe` reads back equal, defaults spelt out."""
    return yaml.safe_dump(recipe.model_dump(mode="json", by_alias=True), sort_keys=False, allow_unicode=True)


def _parse(text: str, source: str) -> dict[str, Any]:
    try:
        document = _value(text)
    except yaml.YAMLError as error:
        raise RecipeError(f"not valid YAML: {' '.join(str(error).split())}", source=source) from None
    if not isinstance(document, dict):
        raise RecipeError(
            f"given {type(document).__name__}; expected a mapping that opens with apiVersion", source=source
        )
    return document


def _value(text: str) -> Any:
    """Return what YAML text says; whatever is wrong with it is a YAMLError."""
    try:
        return yaml.load(text, Loader=_StrictLoader)  # noqa: S506 - a SafeLoader that also refuses repeated keys
    except RecursionError:
        raise yaml.YAMLError("nested too deep") from None
    except ValueError as error:  # a number of thousands of digits, an impossible date
        raise yaml.YAMLError(str(error)) from None


class _StrictLoader(yaml.SafeLoader):
    """Refuses a key that is given twice, and reads 1e-4 as a number (YAML 1.2)."""


def _mapping(loader: _StrictLoader, node: yaml.MappingNode) -> dict[Any, Any]:
    keys = [loader.construct_object(key) for key, _ in node.value if key.tag != "tag:yaml.org,2002:merge"]
    if repeated := sorted({str(key) for key in keys if keys.count(key) > 1}):
        message = f"given twice: {', '.join(repeated)}"
        raise yaml.constructor.ConstructorError(None, None, message, node.start_mark)
    return loader.construct_mapping(node, deep=True)


_StrictLoader.add_constructor("tag:yaml.org,2002:map", _mapping)
_StrictLoader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+$"), list("-+.0123456789")
)


def _apply(document: dict[str, Any], override: str) -> str | None:
    """Set one `key.path=value` in place; return what is wrong with it, if anything."""
    path, equals, text = override.partition("=")
    if not equals or not path:
        return f"--set {override}: expected key.path=value"
    try:
        value = _value(text)
    except yaml.YAMLError:
        return f"--set {override}: the value is not valid YAML"
    return _set(document, path.split("."), value, override)


def _set(node: Any, keys: list[str], value: object, override: str) -> str | None:
    key: str | int = keys[0]
    if isinstance(node, list):
        if not keys[0].isdigit() or int(keys[0]) >= len(node):
            return f"--set {override}: {keys[0]} is no index of a list of {len(node)}"
        key = int(keys[0])
    elif not isinstance(node, Mapping):
        return f"--set {override}: nothing lies below {type(node).__name__} {node!r}"
    if len(keys) == 1:
        node[key] = value
        return None
    if isinstance(node, dict) and node.get(key) is None:
        node[key] = {}
    return _set(node[key], keys[1:], value, override)
