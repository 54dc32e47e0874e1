"""The paper's ablations in small: four arms, three seeds, one page."""
