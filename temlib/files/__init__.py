"""Files: micrographs, stacks and labels, read from any program's files and written."""
