"""HDF5 and zarr files: looked through first, then read by their layout."""
