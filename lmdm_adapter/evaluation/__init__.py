"""Measures: how near a model's music is to held-out music, whether it keeps the tempo, whether it plays for long."""
