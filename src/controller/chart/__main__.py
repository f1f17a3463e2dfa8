"""`python -m controller.chart charts/touge`: writes what is generated of the chart; `make schema` calls it."""

from __future__ import annotations

import sys
from importlib.resources import files
from pathlib import Path

from controller.chart.reference import schema_text, with_tables

#: What placement knows of methods, labels and cards; the chart reads a copy.
_TABLE = files("controller.placement").joinpath("placement.yaml")


def main(folder: Path) -> None:
    """Write values.schema.json, the README's tables and the copy of the placement table."""
    values, readme = (folder / "values.yaml").read_text(encoding="utf-8"), folder / "README.md"
    (folder / "values.schema.json").write_text(schema_text(), encoding="utf-8")
    readme.write_text(with_tables(readme.read_text(encoding="utf-8"), values), encoding="utf-8")
    (folder / "files" / "placement.yaml").write_text(_TABLE.read_text(encoding="utf-8"), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
