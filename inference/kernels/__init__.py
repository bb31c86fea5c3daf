"""Loops over voxels that NumPy cannot fuse, compiled by Numba once and kept; arrays in, arrays out, nothing of CT or DICOM."""
