"""Playing in real time: takes, and sessions with their threads, clocks and recordings."""
