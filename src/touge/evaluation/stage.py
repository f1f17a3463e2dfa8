"""The stages `evaluate-map` (windows and models to predictions) and `evaluate` (predictions to a report).

Puts the parts together: the only module here that knows plans, artifacts and executions.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from touge.contract.errors import DataError, Interrupted, SettingsError
from touge.contract.model import problems
from touge.contract.prediction import Prediction
from touge.contract.progress import Progress
from touge.contract.recipe import Evaluate, TableSource
from touge.contract.sample import Sample
from touge.evaluation.comparison import BASE, TUNED, Comparison, Material, compare
from touge.evaluation.frames import decoded, encoded
from touge.evaluation.gallery import Pick, choose
from touge.evaluation.likelihood import Likelihood
from touge.evaluation.page import front_camera, render
from touge.evaluation.rows import read_rows, write_rows
from touge.evaluation.selection import selected
from touge.stage import StageContext
from touge.storage.execution import Artifact
from touge.storage.models import model_folder
from touge.storage.shards import ShardReader

if TYPE_CHECKING:
    from touge.evaluation.rollout import Folders

SAMPLES = "samples.jsonl"
PREDICTIONS = "predictions"
SWAPPED = "swapped"
LIKELIHOODS = "likelihoods.jsonl"
FACTS = "rollout.json"
REPORT, PAGE = "report.json", "report.html"
LEAKAGE, TRAINING, METRICS = "leakage.json", "training.json", "metrics.jsonl"


def evaluate_map(context: StageContext) -> dict[str, Any]:
    """Ask base and tuned model about this shard's test windows; returns the artifact's metadata."""
    from touge.alpamayo.rollout import Sampling
    from touge.evaluation.rollout import roll_out

    settings = _settings(context)
    samples = _test_windows(context)
    shards = ShardReader(context.store)
    sampling = Sampling(
        rollouts=settings.rollouts, temperature=settings.temperature, top_p=settings.top_p, seed=settings.seed
    )
    outcome = roll_out(
        _folders(context),
        samples,
        lambda sample: decoded(shards, sample),
        sampling,
        _progress(context, 2 * len(samples)),
    )
    for name, predictions in outcome.predictions.items():
        context.execution.write(f"{PREDICTIONS}/{name}.jsonl", write_rows(predictions))
        context.execution.write(f"{SWAPPED}/{name}.jsonl", write_rows(outcome.swapped[name]))
    context.execution.write(LIKELIHOODS, write_rows(outcome.likelihoods))
    context.execution.write(FACTS, json.dumps(outcome.facts, indent=1).encode())
    return {"windows": len(samples), "split": "test"}


def evaluate(context: StageContext) -> dict[str, Any]:
    """Judge the predictions of all shards and write the report; returns the artifact's metadata."""
    comparison = compare(_material(context))
    picks = pick(comparison)
    losses = _losses(context.artifact("model"))
    context.execution.write(REPORT, comparison.report.to_json().encode())
    page = render(comparison, picks, _pictures(context, comparison, picks), losses)
    context.execution.write(PAGE, page.encode())
    verdict = comparison.report.verdict
    return {"passed": verdict.passed, "reason": verdict.reason, "exit_code": int(verdict.exit_code)}


def pick(comparison: Comparison) -> tuple[Pick, ...]:
    """Return the windows to show."""
    errors = [comparison.scores[model]["ade@6.4"][:, 0] for model in (BASE, TUNED)]
    return choose(comparison.windows, *errors)


def _settings(context: StageContext) -> Evaluate:
    try:
        return Evaluate.model_validate(context.stage.section["evaluate"])
    except ValidationError as error:
        raise SettingsError(f"section `evaluate` of the plan: {'; '.join(problems(error, Evaluate))}") from error


def _samples(context: StageContext) -> list[Sample]:
    return read_rows(context.artifact("data").read(SAMPLES), Sample, SAMPLES)


def _test_windows(context: StageContext) -> list[Sample]:
    """Return this shard's part of the test windows that count."""
    test = selected(_samples(context), _settings(context).windows_per_drive)
    if not test:
        raise DataError("the curated data has no window of the split `test`; raise curate.split.test or add drives")
    return test[context.index :: context.stage.shards]


def _folders(context: StageContext) -> Folders:
    """Fetch the models."""
    from touge.evaluation.rollout import Folders

    plan, model = context.plan, context.artifact("model")
    fetched = model.fetch(context.scratch / "model", [*model.names("adapter/"), *model.names("checkpoint/")])
    return Folders(
        base=model_folder(plan.base, context.scratch),
        backbone=model_folder(plan.backbone, context.scratch, weights=False) if plan.backbone else None,
        adapter=_existing(fetched / "adapter"),
        full=_existing(fetched / "checkpoint"),
        base_digest=plan.base.digest,
    )


def _existing(folder: Path) -> Path | None:
    return folder if folder.is_dir() else None


def _progress(context: StageContext, total: int) -> Callable[[int], None]:
    started = context.clock()

    def done(count: int) -> None:
        if context.stopping():
            raise Interrupted(f"stopped after {count} of {total} windows; submit again to begin this shard anew")
        now = context.clock()
        context.execution.report(Progress(done=count, total=total, unit="window", started_us=started, updated_us=now))

    return done


def _material(context: StageContext) -> Material:
    maps, data, model = context.shards("map"), context.artifact("data"), context.artifact("model")
    training, leakage = json.loads(model.read(TRAINING)), _leakage(data)
    settings, samples = _settings(context), _samples(context)
    test = selected(samples, settings.windows_per_drive)
    tainted = bool(data.manifest.metadata.get("tainted") or training.get("tainted"))
    return Material(
        run=context.plan.run,
        samples=(*(sample for sample in samples if sample.split == "train"), *test),
        predictions=_predictions(maps, PREDICTIONS),
        swapped=_predictions(maps, SWAPPED),
        likelihoods=_by_id(maps, LIKELIHOODS, Likelihood),
        tainted=tainted,
        provenance={**_provenance(context, maps[0], training), "leakage": leakage.get("verdict"), "tainted": tainted},
        seed=settings.seed,
        notes=(*_notes(context), *_bounded(samples, test, settings), *leakage.get("statements", ())),
    )


def _predictions(maps: Sequence[Artifact], folder: str) -> dict[str, dict[str, Prediction]]:
    """Return the predictions of each model, by sample id."""
    names = sorted({name for found in maps for name in found.names(f"{folder}/")})
    return {Path(name).stem: _by_id(maps, name, Prediction) for name in names}


def _by_id(maps: Iterable[Artifact], name: str, kind: type[Any]) -> dict[str, Any]:
    return {row.id: row for found in maps for row in read_rows(found.read(name), kind, name)}


def _provenance(context: StageContext, rolled: Artifact, training: Mapping[str, Any]) -> dict[str, Any]:
    plan = context.plan
    return {
        "run": plan.run,
        "stages": {stage.name: stage.id for stage in plan.stages},
        "base": plan.base.model_dump(),
        "backbone": plan.backbone.model_dump() if plan.backbone else None,
        "drives": {reference.uri: reference.digest for reference in plan.inventories},
        "training": {key: training.get(key) for key in ("method", "steps", "samples", "parameters", "prompt")},
        "rollouts": json.loads(rolled.read(FACTS)),
    }


def _leakage(data: Artifact) -> dict[str, Any]:
    """Return what curation proved of the split, where it did."""
    return dict(json.loads(data.read(LEAKAGE))) if LEAKAGE in data.names() else {"verdict": "unknown"}


def _notes(context: StageContext) -> tuple[str, ...]:
    """Return what a reader must know about the data before believing a figure."""
    sources = context.plan.recipe.curate.drives
    if any(isinstance(source, TableSource) and source.camera for source in sources):
        return ("The log has no camera: the frames are drawn along the driven path by the synthetic camera.",)
    return ()


def _bounded(samples: Sequence[Sample], test: Sequence[Sample], settings: Evaluate) -> tuple[str, ...]:
    """Return how many windows count, where the recipe bounds them."""
    if settings.windows_per_drive is None:
        return ()
    everything = sum(sample.split == "test" for sample in samples)
    note = (
        f"Of each drive at most {settings.windows_per_drive} windows of a bucket count, evenly spaced "
        f"(evaluate.windows_per_drive): {len(test)} of the test split's {everything}."
    )
    return (note,)


def _losses(model: Artifact) -> list[dict[str, Any]]:
    return [json.loads(line) for line in model.read(METRICS).splitlines() if line.strip()]


def _pictures(context: StageContext, comparison: Comparison, picks: Iterable[Pick]) -> dict[str, bytes]:
    """Return the stored frame at t0 of each picked window that has one."""
    shards = ShardReader(context.store)
    samples = [comparison.windows.samples[one.index] for one in picks]
    cameras = {sample.id: front_camera(sample) for sample in samples}
    return {
        sample.id: encoded(shards, sample.images[camera][-1]) for sample in samples if (camera := cameras[sample.id])
    }
