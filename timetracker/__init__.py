"""The TimeTracker project: settings, URLs and the domain apps (accounts, clients, tracking, billing, siteconf, imports)."""

__version__ = "0.1.0"
__all__ = ["__version__"]
