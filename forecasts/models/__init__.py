"""Our own models of what a grid will do beyond what is published: each says what it expects, and what it would have."""
