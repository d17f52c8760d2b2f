"""The team's pages about time."""
