"""Size against picture: any scene, any codec, ours and others', every cell in processes of its own.

scenes ─ prepare ─► source.ply, reference pictures        (once per scene)
codecs x rate points ─ encode │ decode, render, score ─► cell.json    (two processes per cell, resumable)
cells ─ results ─► CSV, JSON, Markdown, BD-rates, plots, one HTML page
"""
