"""The page in the browser: tabs, one player, and the transport between them and whatever makes the music."""
