"""pygeoapi as a guest: its configuration, plugins and mounting."""

from services.guest.routes import GUEST_ROUTES, process_document, processes_document

__all__ = ["GUEST_ROUTES", "process_document", "processes_document"]
