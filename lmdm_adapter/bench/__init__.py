"""How fast a shape plays: stages timed against their arithmetic floor and against stock outpainting, in one run."""
