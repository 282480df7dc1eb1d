"""Readings of hardware: null where unknown."""
