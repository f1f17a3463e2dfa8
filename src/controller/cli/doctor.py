"""`doctor`: is everything there that a run needs, and if not, what to do."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from controller.cli.verb import RunVerb, Tools, now_us
from touge.contract.exit_codes import ExitCode

if TYPE_CHECKING:
    from controller.doctor.finding import Finding
    from controller.settings import Settings


class Doctor(RunVerb):
    """Check packages, store, disk and clock; on Kubernetes rights, templates, GPU nodes, queue and controller, too."""

    def run(self, tools: Tools) -> int:
        """Print all findings; exit code 10 if anything is missing."""
        settings = tools.settings
        findings = _in_cluster(settings) if settings.runner == "kubernetes" else _on_this_machine(settings)
        self.say("\n".join(str(finding) for finding in findings), [asdict(finding) for finding in findings])
        return ExitCode.OK if all(finding.ok for finding in findings) else ExitCode.INVALID


def _on_this_machine(settings: Settings) -> list[Finding]:
    from controller.doctor import machine
    from controller.doctor.store import store
    from controller.settings import LOCAL_STORE

    uri = settings.store or LOCAL_STORE
    return [machine.python(), *machine.packages(machine.EVERY_EXTRA), *store(uri, now_us), machine.disk(settings.home)]


def _in_cluster(settings: Settings) -> list[Finding]:
    from controller.doctor import machine
    from controller.doctor.cluster import cluster
    from controller.doctor.store import elsewhere, store

    found = store(settings.store, now_us) if settings.store else [elsewhere()]
    return [machine.python(), *machine.packages(["controller"]), *cluster(settings, now_us), *found]
