"""The benchmarks: what a model costs and how right it is."""
