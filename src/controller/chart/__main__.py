"""`python -m controller.chart charts/touge`: writes what is generated of the chart; `make schema` calls it."""

from __future__ import annotations

import sys
from pathlib import Path

from controller.chart.reference import schema_text, with_tables


def main(folder: Path) -> None:
    """Write values.schema.json and the README's tables."""
    values, readme = (folder / "values.yaml").read_text(encoding="utf-8"), folder / "README.md"
    (folder / "values.schema.json").write_text(schema_text(), encoding="utf-8")
    readme.write_text(with_tables(readme.read_text(encoding="utf-8"), values), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
