"""Particles: told apart, measured, counted, scored and reported."""
