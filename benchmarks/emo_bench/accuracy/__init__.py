"""How right a model is: the device's preprocessing and interpreter over labelled pictures."""
