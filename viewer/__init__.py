"""OHIF beside Orthanc on one loopback address: installed from npm, served by nginx, opened by deep links."""
