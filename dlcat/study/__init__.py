"""Runs compared: what differs between their recipes, and what that does, over seeds."""
