"""Deciding when deferrable inference runs, and acting on it."""
