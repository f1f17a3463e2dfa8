"""The images of this checkout as files that a cluster without a registry can be given."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from build_images import DOCKERFILES
from image_store import archive, full_name


def built_images() -> Mapping[str, Path]:
    """Return the images as docker-archives by full name, such as `docker.io/touge/curate:0.1.0`.

    Each is built when it is asked for, and only if what its build reads has changed.
    """
    return _BuiltImages({full_name(image): image for image in DOCKERFILES})


@dataclass(frozen=True)
class _BuiltImages(Mapping[str, Path]):
    images: Mapping[str, str]

    def __getitem__(self, name: str) -> Path:
        return archive(self.images[name])

    def __iter__(self) -> Iterator[str]:
        return iter(self.images)

    def __len__(self) -> int:
        return len(self.images)
