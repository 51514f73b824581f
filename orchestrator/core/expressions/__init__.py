"""The expression language: parsed to a small tree with positions, typed before a run, evaluated over JSON only."""
