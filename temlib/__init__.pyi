# The names that `import temlib` offers, each with its home: read by lazy_loader and by type checkers.
from .errors import MicrographError as MicrographError
from .errors import TemlibError as TemlibError
from .files.labels.label_files import load_labels as load_labels
from .files.micrographs import load_micrograph as load_micrograph
from .files.micrographs import pixel_size_of as pixel_size_of
from .files.micrographs import save_micrograph as save_micrograph
from .files.scale_bars.scale_bar import ScaleBar as ScaleBar
from .files.scale_bars.scale_bar import read_scale_bar as read_scale_bar
from .jobs.movies import segment_movie as segment_movie
from .network.segmenter import Segmenter as Segmenter
from .network.segmenter import load_segmenter as load_segmenter
from .network.training import fine_tune as fine_tune
from .network.training import train_segmenter as train_segmenter
from .particles.growth import growth_curves as growth_curves
from .particles.measurement import measure_particles as measure_particles
from .particles.review import apply_review as apply_review
from .particles.separation import separate_particles as separate_particles
from .particles.size_distribution import size_distribution as size_distribution
from .particles.tracking import track_particles as track_particles
from .reproduction.run_folder import Run as Run
from .widgets import LabelPainter as LabelPainter
from .widgets import ParticleReviewer as ParticleReviewer

__version__: str
