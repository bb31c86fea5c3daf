"""habitus run FILE.nii.gz: label maps as NIfTI and the numbers, in place of DICOM objects."""

import argparse
from collections.abc import Callable
from typing import TYPE_CHECKING

from commands import accelerators

if TYPE_CHECKING:
    from inference.analyse_nifti import NiftiResults


def analyse_file(
    options: argparse.Namespace, announce: Callable[[str, float], None]
) -> "NiftiResults":
    """Analyse the file; raises HabitusError."""
    from inference.analyse_nifti import analyse_nifti
    from inference.domain.analysis_profile import profile_for
    from inference.domain.errors import ConfigurationInvalid
    from inference.engine.model_store import SHIPPED_MODELS
    from inference.pipeline import load_models

    if options.l3_z_mm is not None or options.l3_slice is not None:
        raise ConfigurationInvalid(
            found="L3 set by hand in a NIfTI file",
            wanted="a DICOM series: a level by hand is documented with its images",
            advice="Leave --l3-z-mm and --l3-slice out, or analyse the DICOM images.",
        )
    models = load_models(
        profile_for(options.profile, options.models),
        accelerators.providers_of(options),
        options.models or SHIPPED_MODELS,
        accelerators.acceleration_of(options),
    )
    return analyse_nifti(options.series_dir, options.out, models, announce)
