# The names that `import temlib` offers, each with its home: read by lazy_loader and by type checkers.
from .distribution import size_distribution as size_distribution
from .errors import MicrographError as MicrographError
from .errors import TemlibError as TemlibError
from .exchange import load_labels as load_labels
from .measurement import measure_particles as measure_particles
from .micrographs import load_micrograph as load_micrograph
from .micrographs import pixel_size_of as pixel_size_of
from .micrographs import save_micrograph as save_micrograph
from .movies import segment_movie as segment_movie
from .particles import separate_particles as separate_particles
from .runs import Run as Run
from .segmentation import Segmenter as Segmenter
from .segmentation import load_segmenter as load_segmenter
from .training import fine_tune as fine_tune
from .training import train_segmenter as train_segmenter
from .widgets import LabelPainter as LabelPainter

__version__: str
