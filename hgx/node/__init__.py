"""What runs on a machine all the time, so that others can use it."""
