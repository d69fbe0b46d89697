"""Policies replayed over history: what each decided with what was known then, and what came of it."""
