"""How fast and how large exported students are on the programs that run them."""
