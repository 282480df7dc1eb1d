"""Placement: a problem of plain numbers, a search with a proof, a plan."""
