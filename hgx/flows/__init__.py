"""The composers behind command line, HTTP and Python: no logic of their own."""
