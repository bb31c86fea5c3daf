"""The pixels of slices, file after file."""

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset

from inference.dicom.hounsfield import PixelFormat, hounsfield
from inference.dicom.read_file import SourceFile, read_image
from inference.dicom.source_frames import SourceFrame


class FramePixels:
    """Reads slice after slice; a file of many frames is read once."""

    def __init__(self) -> None:
        self._file: SourceFile | None = None
        self._image = Dataset()

    def hounsfield(
        self, frame: SourceFrame, form: PixelFormat
    ) -> npt.NDArray[np.int16] | npt.NDArray[np.float32]:
        """HU [row, column] of one slice; raises UnreadableInput or UnsupportedGeometry."""
        if self._file is not frame.file:
            self._file, self._image = frame.file, read_image(frame.file)
        return hounsfield(self._image, form, frame.frame_index)
