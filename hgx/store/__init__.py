"""Files that hgx keeps: its home and the registry."""
