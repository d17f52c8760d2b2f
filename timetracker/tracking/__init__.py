"""Projects, tasks and time entries, the rates that apply to them, and the demo data."""
