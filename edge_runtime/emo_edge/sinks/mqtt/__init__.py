"""`--mqtt`: readings for a broker and for Home Assistant, which never hold the loop up."""
