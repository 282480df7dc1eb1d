"""The proof: bounds, searches, and what takes their place where devices are many."""
