"""The readers of data sets: a function of a folder each, which a `Data` names."""
