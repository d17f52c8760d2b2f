"""Tags and filters of this app's templates."""
