"""The network: which source is asked and when, one request, and what its answer means."""
