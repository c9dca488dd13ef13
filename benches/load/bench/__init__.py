"""The parts of the load bench."""
