"""Objectives, data and the loop that trains: what the recipes are made of."""
