"""A study as one page that opens anywhere: written from values and pictures it is given. Draws no figure."""
