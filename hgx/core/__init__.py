"""Domain types: frozen, strict values and nothing else."""
