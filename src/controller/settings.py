"""Where the controller keeps its records and where artifacts go: two settings, from the environment."""

from __future__ import annotations

from pathlib import Path

from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """`TOUGE_HOME` and `TOUGE_STORE`; the defaults work on a laptop from any folder."""

    model_config = SettingsConfigDict(env_prefix="TOUGE_", frozen=True)

    home: Path = Path(".touge")
    store: str = "file://./.touge/store"
