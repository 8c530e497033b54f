"""Progressive Volume Distillation (Fang et al., AAAI 2023): any field to any other kind of field, and to splats."""

_HERE = "gscompress.distill"
STUDENTS = {
    "hash_grid": f"{_HERE}.to_hash:HashStudent",
    "planes": f"{_HERE}.to_planes:PlanesStudent",
    "voxels": f"{_HERE}.to_voxels:VoxelsStudent",
    "mlp": f"{_HERE}.to_mlp:MlpStudent",
}
"""Kinds of fields that can be taught, and who learns them; named here so that asking needs no torch."""
