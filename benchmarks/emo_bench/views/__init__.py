"""How the results of each kind of benchmark are shown: tables, and plots for the report."""
