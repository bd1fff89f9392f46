"""Accounts of several channels resolved to users: keys, decisions, probabilistic linkage, clusters."""
