"""What the frames say: means, contrasts, claims, comparisons. Pure functions of frames."""
