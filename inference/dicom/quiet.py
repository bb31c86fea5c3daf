"""Keep the DICOM libraries from quoting header values: their messages may name the patient."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from pydicom import config

_LIBRARIES = ("pydicom", "highdicom")


@contextmanager
def quietly() -> Iterator[None]:
    """No warning and no log record of the libraries while reading or writing patient data.

    Also a decorator. What matters is checked by us and told in errors of our own.
    """
    loggers = [logging.getLogger(name) for name in _LIBRARIES]
    levels = [logger.level for logger in loggers]
    mode = config.settings.reading_validation_mode
    try:
        for logger in loggers:
            logger.setLevel(logging.CRITICAL + 1)
        config.settings.reading_validation_mode = config.IGNORE
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        config.settings.reading_validation_mode = mode
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
