"""Same artist or not: what two paintings' vectors say about it, as a probability."""
