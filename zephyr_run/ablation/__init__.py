"""The paper's ablations at small scale: four arms, three seeds, one page."""
