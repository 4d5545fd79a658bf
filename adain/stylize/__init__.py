"""Photos to stylised photos: every control."""
