"""The version, alone in its file so that the command line can print it without other imports."""

__version__ = "0.1.0"
