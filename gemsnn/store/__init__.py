"""What is kept on disk: whole files, run folders, checkpoints, trees of tensors."""
