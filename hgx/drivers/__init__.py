"""Device drivers: one file each, named after its backend."""
