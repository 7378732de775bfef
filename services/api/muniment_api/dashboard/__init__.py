"""The dashboard: one page, rendered once by the server and kept live by events."""

from muniment_api.dashboard.page import mount_dashboard, router

__all__ = ["mount_dashboard", "router"]
