"""The converter: a run folder becomes one TFLite file that passed the parity gate."""
