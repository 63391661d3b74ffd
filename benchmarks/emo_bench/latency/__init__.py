"""How long one face takes, from a cold start to a steady state.

This is the first of emo-toolkit that a measuring process imports, so the clock is read here.
"""

import time

BEGAN = time.monotonic()
