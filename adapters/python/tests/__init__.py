"""Tests of the kit and of the example: `python3 -m unittest` in the folder above, standard library only."""
