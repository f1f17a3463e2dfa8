"""touge: everything that runs inside a container."""
