"""What was read as tidy frames: a row a cell, a row a point of a curve, a row a layer."""
