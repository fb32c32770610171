"""Playing in real time: takes, and the engine to come."""
