"""The embedded models: small deterministic programs that stand in where no AI model is asked. One file each.

A file's `MODEL` takes a ChatRequest and gives the whole Reply; `providers/embedded.py` streams it. The same request always
gets the same reply. They are labelled as synthetic wherever their answers are shown.
"""
