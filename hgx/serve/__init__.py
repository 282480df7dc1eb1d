"""The HTTP side: a gateway in front of the engine."""
