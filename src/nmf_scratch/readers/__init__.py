"""Files: known data sets and their download, MovieLens folders, delimited text, binary tables, and a cache of them."""
