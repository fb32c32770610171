"""Runnable trainings, one file each, readable top to bottom."""
