"""The team's pages about clients."""
