"""Recorded logs of interrupt controllers, replayed on the models: `virqsim device`."""
