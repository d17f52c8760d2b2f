"""The pages of the portal. Each begins with the client, and what is not the client's own does not exist (404)."""
