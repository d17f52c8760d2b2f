"""The team's pages about people: the ways in and out, one's own account, and the team."""
