"""The team's pages about expenses."""
