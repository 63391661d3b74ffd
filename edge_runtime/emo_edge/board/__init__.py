"""The board under the loop: its sensors, its limits, and how a service lives on it."""
