"""The method, and the machinery that trains one stage of it."""
