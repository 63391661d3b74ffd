"""The commands of `emo-train`, one module each."""
