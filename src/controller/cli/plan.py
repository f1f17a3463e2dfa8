"""`plan`: what a recipe would run, what is already done, what it needs and where; changes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import unquote

from pydantic import AfterValidator, AliasChoices, Field
from pydantic_settings import CliPositionalArg

from controller.cli.verb import RunVerb, Tools, UsageError, table
from touge.contract.exit_codes import ExitCode

if TYPE_CHECKING:
    from controller.follow import Desk
    from controller.manifests.job import Object
    from controller.place import Place
    from controller.runners.kubernetes.rehearsal import Rehearsed
    from touge.contract.plan import Plan as ThePlan

Overrides = Annotated[list[str], AfterValidator(lambda given: [unquote(text) for text in given])]


class Plan(RunVerb):
    """Show the stages of a recipe, what is reused, what they need and where they fit. Changes nothing.

    Says what has changed since the last run of the name; on Kubernetes, what the cluster says of each object (dry run).
    """

    recipe: CliPositionalArg[Path] = Field(description="recipe file")
    overrides: Overrides = Field(
        [], validation_alias=AliasChoices("set"), description="key.path=value; may be repeated"
    )
    render: bool = Field(False, description="print the Kubernetes objects instead, as they would be sent")
    templates: Path | None = Field(
        None, description="for --render without a cluster: folder of the chart's templates, helm template --output-dir"
    )

    def run(self, tools: Tools) -> int:
        """Print the plan, or what it would send to Kubernetes; 10 if the cluster would refuse that."""
        from controller.cli.recipes import plan_recipe

        if self.templates and not self.render:
            raise UsageError("--templates DIR goes with --render; `helm template --output-dir DIR` fills one")
        plan, _ = plan_recipe(self.recipe, self.overrides)
        place = tools.place()
        if self.render:
            self._print_objects(_objects(plan, place, self.templates))
            return ExitCode.OK
        rows, known, said = plan_rows(plan, place.desk), last_of_name(plan, place.desk), _rehearsed(plan, place)
        outlook = {"outlook": rows, "compared": known, "rehearsal": [asdict(item) for item in said]}
        text = [_text(plan, rows), *_compared(known), *_outcome(said, place)]
        self.say("\n".join(text), plan.model_dump(mode="json", by_alias=True) | outlook)
        return ExitCode.INVALID if any(item.accepted is False for item in said) else ExitCode.OK

    def _print_objects(self, objects: list[Object]) -> None:
        from controller.cli.rendering import NOTE, to_yaml

        self.say(f"{NOTE}\n{to_yaml(objects)}", objects)


def _objects(plan: ThePlan, place: Place, folder: Path | None) -> list[Object]:
    """Return what would be sent, made from the templates of a folder or of the cluster."""
    from controller.cli.rendering import read_documents, rendered
    from controller.facts import committed_tasks
    from controller.manifests.templates import read_templates

    if folder is None and place.cluster is None:
        raise UsageError("--render needs --templates DIR (`helm template --output-dir DIR`) or --runner kubernetes")
    documents = read_documents(folder) if folder else place.templates()
    return rendered(plan, committed_tasks(plan, place.desk.store), read_templates(documents))


def _rehearsed(plan: ThePlan, place: Place) -> list[Rehearsed]:
    """Return what the cluster says of the objects of all stages; nothing on this machine."""
    if place.cluster is None:
        return []
    from controller.runners.kubernetes.rehearsal import rehearse

    return rehearse(place.cluster, _objects(plan, place, None))


def last_of_name(plan: ThePlan, desk: Desk) -> dict[str, Any] | None:
    """Return the newest other run of the recipe's name, with what has changed since; None where there is none."""
    from controller.difference import differences

    stem = f"{plan.recipe.name}-"
    runs = [known.run for known in desk.records.summaries() if known.run.startswith(stem) and known.run != plan.run]
    records = (desk.records.read(run) for run in reversed(runs))
    found = next((r for r in records if r.spec.plan.recipe.name == plan.recipe.name), None)
    return {"run": found.run, "changes": differences(found.spec.plan, plan)} if found else None


def _compared(known: dict[str, Any] | None) -> list[str]:
    if known is None:
        return []
    return ["", f"since run {known['run']}:", *(f"  {change}" for change in known["changes"] or ["nothing"])]


def _outcome(said: Sequence[Rehearsed], place: Place) -> list[str]:
    """Return the dry run's outcome: what was refused, or that nothing was."""
    if not said:
        return []
    words = dict.fromkeys(f"  {item.said}" if item.accepted is None else f"  {item.name}: {item.said}"
                          for item in said if item.said)  # fmt: skip
    unseen = ["what is finished cannot be seen from here: TOUGE_STORE is not set"] if place.desk.blind else []
    count = sum(item.accepted is True for item in said)
    return ["", f"dry run: {place.name} accepts {count} of {len(said)} objects", *words, *unseen]


def plan_rows(plan: ThePlan, desk: Desk) -> list[dict[str, str]]:
    """Return one row a stage: what will happen to it, what it needs, where it would run."""
    from controller.facts import committed_tasks
    from controller.placement.gpu_memory import told_memory
    from controller.reconcile import needed_stages

    done = committed_tasks(plan, desk.store)
    needed = {stage.name: stage for stage in needed_stages(plan, done)}
    rows = []
    for stage in plan.stages:
        kept = sum(task.stage == stage.name for task in done)
        reused = "reused" if kept == stage.shards else "not needed"
        partly = f"run ({kept} of {stage.shards} done)" if kept else "run"
        rows.append(
            {
                "stage": stage.name,
                "id": stage.id,
                "shards": str(stage.shards),
                "does": partly if stage.name in needed else reused,
                "gpu_memory": told_memory(stage.name, plan.recipe),
                "where": desk.runner.place(stage, plan),
            }
        )
    return rows


def _text(plan: ThePlan, rows: list[dict[str, str]]) -> str:
    lines = [f"run {plan.run}", f"base {plan.base.uri} ({plan.base.digest[:12]})"]
    lines += [f"drives {i.uri}: {i.objects} objects, {i.size / 1e6:.1f} MB ({i.digest[:12]})" for i in plan.inventories]
    heading = [key.replace("_", " ").replace("gpu", "GPU") for key in rows[0]]
    return "\n".join([*lines, "", table([heading, *(list(row.values()) for row in rows)])])
