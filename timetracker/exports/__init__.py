"""What people take with them: their own data, or everything, as a ZIP of JSON and CSV that a worker makes and that expires."""
