"""What people click: Orthanc Explorer's button and the Habitus page, in a headless browser over a real Orthanc."""
