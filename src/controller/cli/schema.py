"""`schema`: the JSON schema of a recipe, so that editors complete and check it."""

from __future__ import annotations

import json
from pathlib import Path

from pydantic import Field

from controller.cli.verb import Tools, UsageError, Verb


class Schema(Verb):
    """Print the JSON schema of a recipe, or check that a file holds it."""

    check: Path | None = Field(None, description="file that must hold exactly this schema")

    def run(self, tools: Tools) -> int:  # noqa: ARG002 - needs no desk
        """Print or compare the schema."""
        text = schema_text()
        if self.check is None:
            print(text)
        elif not self.check.is_file() or self.check.read_text(encoding="utf-8").strip() != text:
            raise UsageError(f"{self.check} is not the schema of this version; write it anew with `make schema`")
        return 0


def schema_text() -> str:
    """Return the schema of recipes as it stands in jobs/schema.json."""
    from touge.contract.recipe import Recipe

    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **Recipe.model_json_schema(by_alias=True)}
    return json.dumps(schema, indent=2, ensure_ascii=False)
