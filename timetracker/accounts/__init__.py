"""People who log in: the custom user and the roles."""
