"""temlib: segment and measure particles in TEM images by transfer learning."""

import lazy_loader

__version__ = "0.3.0"

# What a name needs is imported on its first use: `import temlib` waits for no TensorFlow.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
