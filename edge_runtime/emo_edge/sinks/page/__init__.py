"""`--serve`: the headless display of the device, a web page of what the loop sees."""
