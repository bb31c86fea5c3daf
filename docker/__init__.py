"""What runs first in a container, and how it is asked whether it works."""
