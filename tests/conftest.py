"""Settings of every test: no property is judged by how long it took."""

from hypothesis import settings

settings.register_profile("touge", deadline=None)
settings.load_profile("touge")
