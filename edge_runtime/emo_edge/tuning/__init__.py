"""Which runtime, model variant and number of threads is fastest on this very board."""
