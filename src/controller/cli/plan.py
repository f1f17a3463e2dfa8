"""`plan`: what a recipe would run, what is already done, what it needs and where; changes nothing."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from urllib.parse import unquote

from pydantic import AfterValidator, AliasChoices, Field
from pydantic_settings import CliPositionalArg

from controller.cli.verb import RunVerb, Tools, UsageError, table

if TYPE_CHECKING:
    from controller.follow import Desk
    from touge.contract.plan import Plan as ThePlan

Overrides = Annotated[list[str], AfterValidator(lambda given: [unquote(text) for text in given])]


class Plan(RunVerb):
    """Show the stages of a recipe, their ids, what is reused, expected GPU memory and place. Changes nothing."""

    recipe: CliPositionalArg[Path] = Field(description="recipe file")
    overrides: Overrides = Field(
        [], validation_alias=AliasChoices("set"), description="key.path=value; may be repeated"
    )
    render: bool = Field(False, description="print the Kubernetes objects instead, as they would be sent")
    templates: Path | None = Field(
        None, description="folder of the chart's rendered templates, for --render: helm template --output-dir"
    )

    def run(self, tools: Tools) -> int:
        """Print the plan, or what it would send to Kubernetes."""
        from controller.cli.recipes import plan_recipe

        if self.render != (self.templates is not None):
            raise UsageError("--render and --templates DIR go together; `helm template --output-dir DIR` fills one")
        plan, _ = plan_recipe(self.recipe, self.overrides)
        if self.templates:
            return self._render(plan, tools.desk(), self.templates)
        rows = plan_rows(plan, tools.desk())
        self.say(_text(plan, rows), plan.model_dump(mode="json", by_alias=True) | {"outlook": rows})
        return 0

    def _render(self, plan: ThePlan, desk: Desk, folder: Path) -> int:
        from controller.cli.rendering import NOTE, read_documents, rendered, to_yaml
        from controller.facts import committed_tasks
        from controller.templates import read_templates

        templates = read_templates(read_documents(folder))
        objects = rendered(plan, committed_tasks(plan, desk.store), templates)
        self.say(f"{NOTE}\n{to_yaml(objects)}", objects)
        return 0


def plan_rows(plan: ThePlan, desk: Desk) -> list[dict[str, str]]:
    """Return one row a stage: what will happen to it, what it needs, where it would run."""
    from controller.facts import committed_tasks
    from controller.gpu_memory import needed_gb
    from controller.reconcile import needed_stages

    done = committed_tasks(plan, desk.store)
    needed = {stage.name: stage for stage in needed_stages(plan, done)}
    rows = []
    for stage in plan.stages:
        gigabytes = needed_gb(stage.name, plan.recipe)
        kept = sum(task.stage == stage.name for task in done)
        reused = "reused" if kept == stage.shards else "not needed"
        partly = f"run ({kept} of {stage.shards} done)" if kept else "run"
        rows.append(
            {
                "stage": stage.name,
                "id": stage.id,
                "shards": str(stage.shards),
                "does": partly if stage.name in needed else reused,
                "gpu_memory": f"{gigabytes} GB" if gigabytes else "-",
                "where": desk.runner.place(stage, plan),
            }
        )
    return rows


def _text(plan: ThePlan, rows: list[dict[str, str]]) -> str:
    lines = [f"run {plan.run}", f"base {plan.base.uri} ({plan.base.digest[:12]})"]
    lines += [f"drives {i.uri}: {i.objects} objects, {i.size / 1e6:.1f} MB ({i.digest[:12]})" for i in plan.inventories]
    heading = [key.replace("_", " ").replace("gpu", "GPU") for key in rows[0]]
    return "\n".join([*lines, "", table([heading, *(list(row.values()) for row in rows)])])
