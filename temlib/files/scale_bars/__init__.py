"""Scale bars and other marks that are burnt into a picture."""
