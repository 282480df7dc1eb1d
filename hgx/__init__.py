"""hgx: run one language model on all the machines you own."""
