"""Problem sets and retrieval suites."""
