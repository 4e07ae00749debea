"""From a ratings file to arrays."""
