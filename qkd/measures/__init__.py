"""What is measured of a network: accuracy, cost, its bits, and that it runs as integers."""
