"""Tests of the measurement itself: that it reckons right and that one command goes through. None looks at a time."""
