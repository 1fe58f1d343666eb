"""Mini-Omni2: Mini-Omni that can be interrupted. Xie & Wu 2024, arXiv:2410.11190.

While it speaks it listens: a row of what the user says beside its own, and a row of state (go on, or fall silent).
"""
