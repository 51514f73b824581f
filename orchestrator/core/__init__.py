"""The pure core: values in, values out. No I/O, no clock, no randomness; msgspec is its only third party."""
