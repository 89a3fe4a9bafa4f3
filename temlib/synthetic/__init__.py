"""Synthetic micrographs: simulate particles on a support film, with exact masks and labels.

A :class:`Scene` says what lies under the beam and how it is imaged; :func:`simulate` makes its
micrograph in the steps of the modules of this package: ``specimen`` (particles of the ``shapes``, on
a film) and ``supports`` (grains that carry them), ``optics`` (exit wave and lens, or the scanning probe
of dark field) and ``camera``; ``visibility`` says what of it can be seen.
:func:`sample` draws scenes from the named ``distributions``. :func:`movie` makes a movie of a scene whose
particles nucleate, grow, move, coalesce and dissolve (``histories``).

What it leaves out: inelastic scattering other than as loss, atomic columns and lattice fringes,
bending, charging, contamination, and the geometry of overlap along the beam (a phase grating is flat).
"""

from temlib.synthetic.distributions import DISTRIBUTIONS
from temlib.synthetic.materials import MATERIALS
from temlib.synthetic.movies import SyntheticMovie, movie
from temlib.synthetic.scene import MODES, Scene, Support
from temlib.synthetic.shapes import SHAPES
from temlib.synthetic.simulation import SyntheticMicrograph, sample, simulate

__all__ = ["DISTRIBUTIONS", "MATERIALS", "MODES", "SHAPES", "Scene", "Support", "SyntheticMicrograph", "SyntheticMovie"]
__all__ += ["movie", "sample", "simulate"]
