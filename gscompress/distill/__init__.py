"""Progressive Volume Distillation (Fang et al., AAAI 2023): any field to any other kind of field, and to splats."""
