"""What runs inside Orthanc's own process: callbacks, REST routes and the node's supervisor; standard library only."""
