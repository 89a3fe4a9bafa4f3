"""Image formation: the exit wave, the lens that images it, and the scanning probe of dark field.

Formulas from E. J. Kirkland, Advanced Computing in Electron Microscopy, 3rd ed. (2020), ch. 2, 3, and
L. Reimer and H. Kohl, Transmission Electron Microscopy, 5th ed. (2008), ch. 6.
"""

from __future__ import annotations

import numpy as np
from scipy import fft

from temlib.synthetic.scene import Scene
from temlib.synthetic.specimen import MARGIN, Projection
from temlib.synthetic.supports import Layer

__all__ = [
    "REST_ENERGY_KV",
    "blur",
    "dark_field_signal",
    "exit_wave",
    "fly_back",
    "image_wave",
    "interaction",
    "scan",
    "transfer",
    "wavelength_nm",
]

REST_ENERGY_KV = 510.99895
"""Of an electron."""

_FILM_ATTENUATION_NM = 150.0  # carbon
_FILM_POTENTIAL_V = 9.0  # amorphous carbon


def wavelength_nm(voltage_kv: float) -> float:
    """Give the relativistic wavelength of an electron [nm]."""
    return 1.2264259 / np.sqrt(voltage_kv * 1e3 * (1 + voltage_kv / (2 * REST_ENERGY_KV)))


def interaction(voltage_kv: float) -> float:
    """Give the interaction constant: phase for each volt of potential and nm of path [rad / (V nm)]."""
    relativistic = (REST_ENERGY_KV + voltage_kv) / (2 * REST_ENERGY_KV + voltage_kv)
    return 2 * np.pi / (wavelength_nm(voltage_kv) * voltage_kv * 1e3) * relativistic


def exit_wave(scene: Scene, particles: Projection, film_nm: np.ndarray, layer: Layer | None = None) -> np.ndarray:
    """Give the wave below the specimen, of modulus 1 above it.

    Its amplitude is exp(-t / 2 lambda) of particles, film and support, which the objective aperture
    takes out of the beam, times what diffraction leaves; its phase is the interaction constant times
    the mean inner potential times t.

    Returns
    -------
    complex64 array, with the margin
    """
    amplitude = film_nm * np.float32(-0.5 / _FILM_ATTENUATION_NM)  # in place from here: memory is what costs
    amplitude -= np.float32(0.5) * particles.depth
    if layer is not None:
        amplitude -= np.float32(0.5) * layer.depth
    np.exp(amplitude, out=amplitude)
    amplitude *= np.sqrt(particles.unscattered)
    sigma = interaction(scene.voltage_kv)
    phase = particles.thickness * np.float32(sigma * scene.inner_potential_v)
    phase += film_nm * np.float32(sigma * _FILM_POTENTIAL_V)
    if layer is not None and scene.support is not None:
        amplitude *= np.sqrt(layer.unscattered)
        phase += layer.thickness * np.float32(sigma * scene.support.inner_potential_v)
    wave = np.empty(phase.shape, np.complex64)
    np.multiply(amplitude, np.cos(phase), out=wave.real)
    np.multiply(amplitude, np.sin(phase), out=wave.imag)
    return wave


def transfer(scene: Scene, squared: np.ndarray) -> np.ndarray:
    """Give the contrast transfer function, with its envelopes and the objective aperture.

    exp(-i chi), chi = pi lambda q^2 (Cs lambda^2 q^2 / 2 - defocus), damped for a spread of defocus
    and of the illumination's direction (quasi-coherent), 0 beyond the aperture.

    Parameters
    ----------
    scene : Scene
        With voltage, defocus, Cs, focal spread, convergence and aperture.
    squared : array
        Square of the spatial frequency, q^2 [1 / nm^2].

    Returns
    -------
    complex64 array of the same shape
    """
    wavelength, cs_nm = wavelength_nm(scene.voltage_kv), scene.cs_mm * 1e6
    squared = np.asarray(squared, np.float32)
    chi = squared * (np.float32(np.pi / 2 * cs_nm * wavelength**3) * squared)
    chi -= np.float32(np.pi * wavelength * scene.defocus_nm) * squared
    slope = np.float32(cs_nm * wavelength**2) * squared - np.float32(scene.defocus_nm)
    damping = np.square(np.float32(np.pi * wavelength * scene.focal_spread_nm) * squared) / 2
    damping += squared * np.square(np.float32(np.pi * scene.convergence_mrad * 1e-3) * slope)
    envelope = np.exp(-damping)
    envelope *= squared <= np.float32((scene.aperture_mrad * 1e-3 / wavelength) ** 2)
    result = np.empty(chi.shape, np.complex64)
    np.multiply(envelope, np.cos(chi), out=result.real)
    np.multiply(envelope, -np.sin(chi), out=result.imag)
    return result


def image_wave(scene: Scene, wave: np.ndarray) -> np.ndarray:
    """Image an exit wave: give the intensity in the image plane, relative to no specimen.

    Frequencies that the pixels cannot hold are lost: with pixels coarser than the aperture's
    resolution it is they that limit it.

    Parameters
    ----------
    scene : Scene
        With pixel size and optics.
    wave : complex array of shape (n, n)
        Exit wave, taken as periodic.

    Returns
    -------
    float32 array of shape (n, n)
    """
    spectrum = fft.fft2(wave.astype(np.complex64, copy=False))
    half = len(wave) // 2 + 1  # the four quadrants of the transfer function are alike
    squared = (np.arange(half) / (len(wave) * scene.pixel_size_nm)) ** 2
    quadrant = transfer(scene, squared[:, None] + squared[None, :])
    mirrored = slice(len(wave) - half, 0, -1)
    spectrum[:half, :half] *= quadrant
    spectrum[:half, half:] *= quadrant[:, mirrored]
    spectrum[half:, :half] *= quadrant[mirrored]
    spectrum[half:, half:] *= quadrant[mirrored, mirrored]
    image = fft.ifft2(spectrum, overwrite_x=True)
    intensity = np.square(image.real)
    intensity += np.square(image.imag)
    return intensity


def dark_field_signal(
    scene: Scene, particles: Projection, film_nm: np.ndarray, layer: Layer | None = None
) -> np.ndarray:
    """Give the share of electrons that reach the annular detector, 1 - exp(-t / lambda), per pixel.

    Atoms scatter to high angles independently of one another: neither phase nor diffraction shows.
    Carbon, light, scatters a tenth of what its attenuation in bright field suggests. The probe's
    size blurs the result; a thick support is out of focus besides.
    """
    depth = particles.depth + film_nm * np.float32(0.1 / _FILM_ATTENUATION_NM)
    if layer is not None and scene.support is not None:
        depth += _filter(layer.depth, scene.pixel_size_nm, scene.support.defocus_blur_nm, 0, 0)
    return _filter(1 - np.exp(-depth), scene.pixel_size_nm, scene.probe_nm, 0, 0)


def scan(scene: Scene, signal: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Scan line by line: each line is displaced a little, and of a slightly different brightness."""
    shifts = rng.normal(0, scene.scan_jitter_px, len(signal)).astype(np.float32)
    brightness = rng.normal(1, scene.scan_flicker, len(signal)).astype(np.float32)
    if scene.scan_jitter_px:
        ramp = np.exp(-2j * np.pi * np.fft.rfftfreq(signal.shape[1])[None, :] * shifts[:, None]).astype(np.complex64)
        signal = fft.irfft(fft.rfft(signal, axis=1) * ramp, signal.shape[1], axis=1)
    return np.maximum(signal * np.maximum(brightness, 0)[:, None], 0)


def fly_back(scene: Scene, pixels: np.ndarray) -> np.ndarray:
    """Draw out the beginning of each line: the beam was still flying back from the line before.

    Parameters
    ----------
    scene : Scene
        With ``flyback_px``.
    pixels : array of shape (height, width)
        Of the micrograph with its margin. Whole numbers (labels) are taken from the nearest pixel, others
        interpolated.
    """
    if not scene.flyback_px or scene.mode != "dark_field":
        return pixels
    column = np.arange(pixels.shape[1], dtype=np.float32)
    inside = np.maximum(column - MARGIN, 0)
    source = column - np.float32(scene.flyback_px) * np.exp(-inside / np.float32(4 * scene.flyback_px))
    source = np.clip(source, 0, len(column) - 1)
    if pixels.dtype.kind in "iu":
        return pixels[:, np.rint(source).astype(int)]
    left = np.minimum(source.astype(int), len(column) - 2)
    share = source - left
    return pixels[:, left] * (1 - share) + pixels[:, left + 1] * share


def blur(scene: Scene, intensity: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Blur by vibration (a Gaussian) and by drift along a straight path in a random direction."""
    angle = rng.uniform(0, np.pi)
    return _filter(intensity, scene.pixel_size_nm, scene.blur_nm, scene.drift_nm, angle)


def _filter(image: np.ndarray, pixel_size_nm: float, sigma_nm: float, path_nm: float, angle: float) -> np.ndarray:
    """Convolve with a Gaussian of standard deviation sigma and with a path, periodically."""
    if sigma_nm == path_nm == 0:
        return image
    y, x = np.fft.fftfreq(len(image), pixel_size_nm), np.fft.rfftfreq(len(image), pixel_size_nm)
    spectrum = fft.rfft2(image)
    spectrum *= np.exp(-2 * (np.pi * sigma_nm * y) ** 2).astype(np.float32)[:, None]
    spectrum *= np.exp(-2 * (np.pi * sigma_nm * x) ** 2).astype(np.float32)[None, :]
    if path_nm:
        along = (path_nm * (y[:, None] * np.sin(angle) + x[None, :] * np.cos(angle))).astype(np.float32)
        spectrum *= np.sinc(along)
    blurred = fft.irfft2(spectrum, image.shape, overwrite_x=True)
    return np.maximum(blurred, 0, out=blurred)
