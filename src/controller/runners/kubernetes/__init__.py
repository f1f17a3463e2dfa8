"""Runs on Kubernetes: the only package that speaks to an API server, in plain dicts."""
