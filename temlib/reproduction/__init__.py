"""The reproduction: the paper's figures, the hand-over between notebooks, the workshop kit."""
