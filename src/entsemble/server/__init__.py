"""The HTTP server: extraction, pool and experts, and a page to view and correct mentions."""
