"""The trainer: a folder of pictures becomes a Keras model in a run folder."""
