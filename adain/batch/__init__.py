"""Data sets: every picture stylised, in the shape of the data set, on any number of machines."""
