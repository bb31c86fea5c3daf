"""The node process: intake, journal, worker, engine child and outbox; talks to Orthanc over loopback HTTP only."""
