"""Multislice simulation: the program that rendered the data set ``simulated`` (extra ``render``)."""

__all__ = ["atoms", "design", "render"]
