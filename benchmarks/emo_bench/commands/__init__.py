"""The commands of `emo-bench`, one module each; nothing heavy is imported before one runs."""
