"""Regression gates for model weights: `pytest --pack=candidate.planck`."""

__version__ = "0.1.0"
