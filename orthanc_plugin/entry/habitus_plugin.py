"""Orthanc's PythonScript: the only file that imports orthanc."""

import os
import sys
from pathlib import Path

# DCMTK reads it for each association: without it Nagle's algorithm stalls every C-STORE answer by 40 ms.
os.environ.setdefault("TCP_NODELAY", "1")

import orthanc

# Appended, not put first: nothing in the tree may shadow a module of the standard library.
sys.path.append(str(Path(__file__).resolve().parents[2]))

from orthanc_plugin.inside import plugin

plugin.start(orthanc)
