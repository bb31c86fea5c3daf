"""The fake analyser, slowed down without work: so that a kill finds a job under way on a busy machine too."""

import time
from collections.abc import Mapping
from pathlib import Path

from orthanc_plugin.node.analysis_port import AnalysisRequest, LoadRequest, Progress
from tests.fake_analyser import FakeAnalyser

JOB_S = 0.8


class SlowedAnalyser(FakeAnalyser):
    """Two SR objects, a report and a picture per series."""

    def analyse(self, request: AnalysisRequest, progress: Progress) -> Mapping[str, Path]:
        """Write results after a while."""
        progress("fake stage", 0.1)
        time.sleep(JOB_S)
        return super().analyse(request, progress)


def load(request: LoadRequest) -> SlowedAnalyser:
    """Nothing is loaded."""
    return SlowedAnalyser(request.models_folder, request.profile)
