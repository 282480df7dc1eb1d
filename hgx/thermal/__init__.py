"""Heat: what a device can keep up, when it throttles, and what to do before."""
