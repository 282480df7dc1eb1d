"""Processes that hgx starts and that end with it."""
