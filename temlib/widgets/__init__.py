"""Widgets for notebooks: explorers, to move a number and see what it does."""

from __future__ import annotations

from temlib.widgets.explorers import (
    explore_dose_and_defocus,
    explore_features,
    explore_iou,
    explore_masks,
    explore_scene,
    explore_threshold,
)

__all__ = [
    "explore_dose_and_defocus",
    "explore_features",
    "explore_iou",
    "explore_masks",
    "explore_scene",
    "explore_threshold",
]
