"""`submit`: make a run of a recipe, or attach to the one that is there, and see it through."""

from __future__ import annotations

import sys
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import AliasChoices, Field
from pydantic_settings import CliPositionalArg

from controller.cli.following import Following
from controller.cli.plan import Overrides
from controller.cli.verb import Tools
from touge.contract.errors import AlreadyExists, ObjectNotFound, TougeError
from touge.contract.exit_codes import ExitCode

if TYPE_CHECKING:
    from controller.follow import Desk
    from controller.records import RunRecord
    from touge.contract.inventory import Inventory
    from touge.contract.plan import Plan


class RunOver(TougeError):
    """The run failed or was cancelled and is not tried again unasked."""

    exit_code = ExitCode.RUN_FAILED


class Submit(Following):
    """Run a recipe; submitting the same again attaches.

    Follows the run to its report (Ctrl-C cancels, twice kills), but for --detach or where `operate` sees runs through.
    """

    recipe: CliPositionalArg[Path] = Field(description="recipe file")
    overrides: Overrides = Field(
        [], validation_alias=AliasChoices("set"), description="key.path=value; may be repeated"
    )
    retry: bool = Field(False, description="try again if the run failed or was cancelled")
    new_run: bool = Field(False, description="make another run, which still reuses finished stages")
    no_reuse: bool = Field(False, description="make another run and compute every stage again")

    def run(self, tools: Tools) -> int:
        """Make or find the run and follow it."""
        from controller.cli.recipes import plan_recipe

        self.check()
        nonce = uuid.uuid4().hex
        plan, inventories = plan_recipe(
            self.recipe,
            self.overrides,
            run_nonce=nonce if self.new_run or self.no_reuse else "",
            stage_nonce=nonce if self.no_reuse else "",
        )
        place = tools.place()
        record = self._revived(place.desk, plan, _find_or_create(place.desk, plan, inventories))
        return self.attend(tools, place, record)

    def _revived(self, desk: Desk, plan: Plan, record: RunRecord) -> RunRecord:
        """Return the record of a run that may be followed.

        Raises:
            RunOver: If it failed or was cancelled and nobody asked for another try.
        """
        from controller.changes import request_retry
        from controller.cli.outcome import outcome
        from controller.facts import committed_tasks
        from controller.reconcile import needed_stages
        from controller.state import State

        if not record.over or record.status is None:
            return record
        if record.status.state is State.SUCCEEDED:
            if desk.blind or not needed_stages(plan, committed_tasks(plan, desk.store)):
                return record
            print(f"{desk.store.uri} no longer has the result of {record.run}: computing it again", file=sys.stderr)
        elif not self.retry:
            if self.output == "json":
                self.say("", outcome(record))
            raise RunOver(
                f"run {record.run} is {record.status.state} ({record.status.reason}). "
                f"`retry {record.run}` or `submit --retry` tries again; `status {record.run}` says what happened"
            )
        return request_retry(desk.records, record.run, plan)


def _find_or_create(desk: Desk, plan: Plan, inventories: tuple[Inventory, ...]) -> RunRecord:
    from controller.archive import archive, archive_inventories
    from controller.state import RunSpec

    try:
        record = desk.records.read(plan.run)
    except ObjectNotFound:
        if not desk.blind:
            archive_inventories(plan.run, inventories, desk.store)
        try:
            record = desk.records.create(RunSpec(plan=plan, created_us=desk.clock()))
        except AlreadyExists:
            return desk.records.read(plan.run)
        if not desk.blind:
            archive(record, desk.store)
        print(f"run {plan.run}", file=sys.stderr)
        return record
    print(f"run {plan.run} is there already: attached", file=sys.stderr)
    if not record.over and record.spec.plan != plan:
        print("it goes on with the addresses, resources and limits that it began with", file=sys.stderr)
    return record
