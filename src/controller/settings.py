"""Where runs are, where artifacts go, and who runs the stages: a few settings, from the environment."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from touge.contract.errors import SettingsError

#: Where artifacts of runs on this machine lie unless the environment says otherwise.
LOCAL_STORE = "file://./.touge/store"


class Settings(BaseSettings):
    """`TOUGE_HOME`, `TOUGE_STORE`, `TOUGE_RUNNER` and so on; the defaults work on a laptop from any folder.

    Args:
        home: Records, logs and copies of reports of runs on this machine.
        store: Where artifacts lie; empty: in `LOCAL_STORE`, or, on Kubernetes, where this machine does not reach it.
        runner: Who runs the stages.
        namespace: On Kubernetes, where runs are; empty: what the kubeconfig's context or the pod says.
        context: Of the kubeconfig; empty: the current one, or the pod's own account.
        release: The chart's release, where a namespace has several.
        replace_lost_s: On Kubernetes, seconds after which the work of a node that does not answer is begun anew, though
            its container may still run; empty: not before somebody removes the node.
    """

    model_config = SettingsConfigDict(env_prefix="TOUGE_", env_ignore_empty=True, frozen=True)

    home: Path = Path(".touge")
    store: str | None = None
    runner: Literal["local", "kubernetes"] = "local"
    namespace: str | None = None
    context: str | None = None
    release: str | None = None
    replace_lost_s: float | None = Field(None, ge=0)


def read_settings(given: Mapping[str, str]) -> Settings:
    """Return the settings of the environment; `given`, from a command line, wins.

    Raises:
        SettingsError: With every variable that is wrong.
    """
    try:
        return Settings(**given)  # type: ignore[arg-type]  # checked by pydantic
    except ValidationError as error:
        lines = [f"TOUGE_{e['loc'][0]}".upper() + f": given {e['input']!r}; {e['msg']}" for e in error.errors()]
        raise SettingsError("\n".join(lines)) from None
