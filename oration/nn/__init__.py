"""Floor 1: layers. Knows no speech."""
