"""Reading, writing and changing pictures."""
