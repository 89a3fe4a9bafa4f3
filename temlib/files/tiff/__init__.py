"""TIFF files: pages, frames, pixel sizes."""
