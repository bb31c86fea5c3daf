"""The images built and the compose file run for real, on a machine without a Docker engine."""
