"""The kit users and our own suite test with: manual clock, scripted model, simulation."""
