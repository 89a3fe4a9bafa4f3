"""Widgets for notebooks: label painter, particle reviewer, and explorers, to move a number and see what it does."""

from __future__ import annotations

from temlib.widgets.explorers import (
    explore_dose_and_defocus,
    explore_features,
    explore_iou,
    explore_masks,
    explore_scene,
    explore_threshold,
    explore_tracks,
)
from temlib.widgets.painter import LabelPainter
from temlib.widgets.reviewer import ParticleReviewer

__all__ = [
    "LabelPainter",
    "ParticleReviewer",
    "explore_dose_and_defocus",
    "explore_features",
    "explore_iou",
    "explore_masks",
    "explore_scene",
    "explore_threshold",
    "explore_tracks",
]
