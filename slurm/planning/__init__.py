"""What is to be done: a matrix, its plan, where each stage stands, what it costs (torch-free)."""
