"""Weights: read, adapted, quantised, and written."""
