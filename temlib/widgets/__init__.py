"""Widgets for Jupyter: the label painter."""

from temlib.widgets.painter import LabelPainter

__all__ = ["LabelPainter"]
