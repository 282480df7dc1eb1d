"""GGUF files: the header, what each architecture means, and the memory it takes."""
