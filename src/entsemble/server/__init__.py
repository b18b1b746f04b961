"""entsemble as a server: extraction, the pool and the experts over HTTP, and a page to look at and correct."""
