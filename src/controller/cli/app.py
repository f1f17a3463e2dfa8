"""`python -m controller`: the verbs together, and the one place where an error becomes a message and an exit code."""

from __future__ import annotations

import difflib
import re
import sys
import traceback
from collections.abc import Sequence
from dataclasses import replace
from urllib.parse import quote

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, CliApp, CliSubCommand, SettingsConfigDict, SettingsError, get_subcommand

from controller.cli.cancel import Cancel
from controller.cli.delete import Delete
from controller.cli.doctor import Doctor
from controller.cli.list import List
from controller.cli.logs import Logs
from controller.cli.operate import Operate
from controller.cli.plan import Plan
from controller.cli.promote import Promote
from controller.cli.report import Report
from controller.cli.retry import Retry
from controller.cli.schema import Schema
from controller.cli.status import Status
from controller.cli.submit import Submit
from controller.cli.verb import Tools, Verb
from controller.cli.watch import Watch
from touge.contract.errors import TougeError
from touge.contract.exit_codes import ExitCode

_INTERRUPTED = 130


class Controller(BaseSettings):
    """Turn a recipe into a plan, run its stages, and tell what became of them."""

    model_config = SettingsConfigDict(
        cli_prog_name="python -m controller",
        cli_kebab_case=True,
        cli_implicit_flags="toggle",
        cli_avoid_json=True,
        cli_enforce_required=True,
        cli_exit_on_error=False,
        cli_hide_none_type=True,
        cli_use_class_docs_for_groups=True,
    )

    submit: CliSubCommand[Submit]
    plan: CliSubCommand[Plan]
    list: CliSubCommand[List]
    status: CliSubCommand[Status]
    watch: CliSubCommand[Watch]
    logs: CliSubCommand[Logs]
    cancel: CliSubCommand[Cancel]
    retry: CliSubCommand[Retry]
    delete: CliSubCommand[Delete]
    report: CliSubCommand[Report]
    promote: CliSubCommand[Promote]
    operate: CliSubCommand[Operate]
    doctor: CliSubCommand[Doctor]
    schema_: CliSubCommand[Schema] = Field(validation_alias="schema")


def log_to_stderr(arguments: Sequence[str]) -> None:
    """Keep stdout for data; called once by a process's entry point. `operate` logs JSON, as the stages do."""
    import structlog

    as_data = (
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso"),
        structlog.processors.format_exc_info,
        structlog.processors.JSONRenderer(),
    )
    structlog.configure(
        processors=as_data if arguments[:1] == ["operate"] else None,
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )


def main(arguments: Sequence[str], tools: Tools | None = None) -> int:
    """Run one command line and return its exit code."""
    debug = "--debug" in arguments
    try:
        verb = parse(arguments)
        return verb.run(replace(tools or Tools(), debug=debug, given=verb.given()))
    except TougeError as error:
        return _failed(str(error), error.exit_code, debug=debug)
    except KeyboardInterrupt:
        return _failed("interrupted", _INTERRUPTED, debug=False)
    except BrokenPipeError:
        sys.stderr.close()
        return ExitCode.OK
    except Exception as error:  # noqa: BLE001 - the command line's last line: no traceback unless asked for
        message = f"{type(error).__name__}: {error}. This is a bug of touge; --debug shows where"
        return _failed(message, ExitCode.ERROR, debug=debug)


def parse(arguments: Sequence[str]) -> Verb:
    """Return the verb that a command line asks for.

    Raises:
        SystemExit: After help was printed, or (2) with the reason why the command line is wrong.
    """
    words = _quoted(arguments) or ["--help"]
    try:
        verb = get_subcommand(CliApp.run(Controller, cli_args=words), cli_exit_on_error=False)
    except SettingsError as error:
        raise SystemExit(_failed(_wrong(str(error), arguments), ExitCode.USAGE, debug=False)) from None
    except ValidationError as error:
        lines = [f"--{e['loc'][-1]}: given {e['input']!r}; {e['msg'].lower()}" for e in error.errors()]
        raise SystemExit(_failed("\n".join(lines), ExitCode.USAGE, debug=False)) from None
    if not isinstance(verb, Verb):
        raise TypeError(f"{verb!r} is no verb")
    return verb


def _quoted(arguments: Sequence[str]) -> list[str]:
    """Quote the values of --set: pydantic-settings splits list values at commas and brackets."""
    words: list[str] = []
    for word in arguments:
        if words and words[-1] == "--set":
            words.append(quote(word, safe="="))
        elif word.startswith("--set="):
            words += ["--set", quote(word.removeprefix("--set="), safe="=")]
        else:
            words.append(word)
    return words


def _wrong(message: str, arguments: Sequence[str]) -> str:
    """Explain a command line that is not understood, with the nearest name."""
    text = message.removeprefix("error parsing CLI: ")
    if found := re.search(r"invalid choice: '([^']*)'", text):
        return _unknown("verb", found[1], list(_verbs()))
    if found := re.search(r"unrecognized arguments: (--?[\w-]+)", text):
        return _unknown("option", found[1], _options(next((a for a in arguments if a in _verbs()), None)))
    return f"{text}. --help shows what is possible"


def _unknown(kind: str, given: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(given, known, n=1, cutoff=0.5)
    return f"unknown {kind} {given}" + (f"; did you mean {near[0]}?" if near else f"; known: {', '.join(known)}")


def _verbs() -> dict[str, type[Verb]]:
    found = ((name.rstrip("_"), info.annotation) for name, info in Controller.model_fields.items())
    return {name: kind for name, annotation in found for kind in _classes(annotation)}


def _classes(annotation: object) -> list[type[Verb]]:
    alternatives = getattr(annotation, "__args__", (annotation,))
    return [kind for kind in alternatives if isinstance(kind, type) and issubclass(kind, Verb)]


def _options(verb: str | None) -> list[str]:
    if verb is None:
        return ["--help"]
    names = ((info.validation_alias or name) for name, info in _verbs()[verb].model_fields.items())
    return [f"--{name}".replace("_", "-") for given in names for name in getattr(given, "choices", [given])]


def _failed(message: str, code: int, *, debug: bool) -> int:
    if debug:
        traceback.print_exc()
    print(f"error: {message}", file=sys.stderr)
    return int(code)
