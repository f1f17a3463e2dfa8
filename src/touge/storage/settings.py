"""Settings of the object store, from the environment; credentials stay with boto3's own chain."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from touge.contract.errors import SettingsError

PREFIX = "TOUGE_S3_"


def _endpoint(url: str) -> str:
    if not re.fullmatch(r"https?://[^/@\s]+(/\S*)?", url):
        raise ValueError("expected http://host:port or https://host, without credentials")
    return url


class StoreSettings(BaseSettings):
    """How to reach an S3-compatible store: `TOUGE_S3_ENDPOINT` and so on."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, env_ignore_empty=True, frozen=True)

    endpoint: Annotated[str, AfterValidator(_endpoint)] | None = Field(None, description="null is Amazon's own")
    region: str | None = None
    path_style: bool = Field(False, description="http://host/bucket/key, for servers without a name for each bucket")
    connect_timeout_s: Annotated[float, Field(gt=0)] = 10.0
    read_timeout_s: Annotated[float, Field(gt=0)] = 60.0
    attempts: Annotated[int, Field(ge=1)] = Field(5, description="tries of one request, with growing pauses")


def settings_from_environment() -> StoreSettings:
    """Return the settings that the environment names.

    Raises:
        SettingsError: Naming every variable that is wrong, but no value: one may hold a credential.
    """
    try:
        return StoreSettings()
    except ValidationError as error:
        items = error.errors(include_url=False, include_input=False)
        lines = [
            f"{PREFIX}{str(item['loc'][0]).upper()}: {item['msg'].removeprefix('Value error, ')}" for item in items
        ]
        raise SettingsError(f"settings of the store: {'; '.join(lines)}") from None
