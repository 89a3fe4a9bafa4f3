"""Labels in files: particles as temlib and other programs write them."""
