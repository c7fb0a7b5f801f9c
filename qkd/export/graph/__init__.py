"""From a network to an ONNX graph, and what is changed in a graph afterwards."""
