"""An empty stand-in: LiteLLM imports soundfile at start, for audio that no route here carries.

The real one brings NumPy along: 60 MB on disk, 10 MB of memory and most of a second at start.
"""
